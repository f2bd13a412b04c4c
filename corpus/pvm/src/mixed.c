/* SPDX-License-Identifier: MIT
 *
 * mixed - a bit of everything that small programs do: linked lists, small matrices, a
 * state machine over text, and a bitwise CRC over all results.  One round is about as
 * much work as one of the well-known benchmark of embedded processors; the code is not
 * its code.
 */
#include "bench.h"

/* ---- CRC-16 (CCITT, reflected), a bit at a time ---- */

static uint16_t crc_byte(uint16_t crc, uint8_t byte)
{
    crc ^= byte;
    for (unsigned bit = 0; bit < 8; bit++)
        crc = (uint16_t)(crc >> 1 ^ (crc & 1 ? 0x8408 : 0));
    return crc;
}

static uint16_t crc_16(uint16_t crc, uint16_t value)
{
    return crc_byte(crc_byte(crc, (uint8_t)value), (uint8_t)(value >> 8));
}

static uint16_t crc_32(uint16_t crc, uint32_t value)
{
    return crc_16(crc_16(crc, (uint16_t)value), (uint16_t)(value >> 16));
}

/* ---- list: find, reverse, merge sort ---- */

enum { NODE_COUNT = 128, FIND_COUNT = 48 };

struct node {
    struct node *next;
    uint16_t key;
    uint16_t position;
};

typedef int node_order(const struct node *a, const struct node *b);

static struct node node_pool[NODE_COUNT];

static int order_by_key(const struct node *a, const struct node *b)
{
    return a->key != b->key ? a->key - b->key : a->position - b->position;
}

static int order_by_position(const struct node *a, const struct node *b)
{
    return a->position - b->position;
}

/* The nodes in an order that jumps about in memory. */
static struct node *list_create(uint64_t *seed)
{
    struct node *head = NULL;
    for (unsigned i = NODE_COUNT; i-- > 0;) {
        struct node *node = &node_pool[i * 37 % NODE_COUNT];
        node->key = (uint16_t)(bench_random(seed) & 1023);
        node->position = (uint16_t)i;
        node->next = head;
        head = node;
    }
    return head;
}

static const struct node *list_find(const struct node *list, uint16_t key)
{
    while (list != NULL && list->key != key)
        list = list->next;
    return list;
}

static struct node *list_reverse(struct node *list)
{
    struct node *reversed = NULL;
    while (list != NULL) {
        struct node *next = list->next;
        list->next = reversed;
        reversed = list;
        list = next;
    }
    return reversed;
}

static struct node *list_merge(struct node *a, struct node *b, node_order *order)
{
    struct node *head, **link = &head;
    while (a != NULL && b != NULL) {
        struct node **least = order(a, b) <= 0 ? &a : &b;
        *link = *least;
        link = &(*least)->next;
        *least = *link;
    }
    *link = a != NULL ? a : b;
    return head;
}

/* Runs of one node, then of two, of four: run[i] is empty or holds 2^i nodes. */
static struct node *list_sort(struct node *list, node_order *order)
{
    struct node *run[16] = {NULL};
    while (list != NULL) {
        struct node *carry = list;
        list = list->next;
        carry->next = NULL;
        unsigned i = 0;
        for (; run[i] != NULL; i++) {
            carry = list_merge(run[i], carry, order);
            run[i] = NULL;
        }
        run[i] = carry;
    }
    for (unsigned i = 0; i < 16; i++)
        list = list_merge(run[i], list, order);
    return list;
}

static uint16_t list_crc(uint16_t crc, const struct node *list)
{
    for (; list != NULL; list = list->next)
        crc = crc_16(crc, list->key);
    return crc;
}

static uint16_t list_round(struct node **list, uint16_t crc, uint16_t key)
{
    for (unsigned i = 0; i < FIND_COUNT; i++) {
        const struct node *found = list_find(*list, (key + i * 21) & 1023);
        *list = list_reverse(*list);
        crc = crc_byte(crc, found != NULL ? (uint8_t)found->position : 255);
    }
    *list = list_sort(*list, order_by_key);
    crc = list_crc(crc, *list);
    *list = list_sort(*list, order_by_position);
    return crc;
}

/* ---- matrix: 16-bit operands, 32-bit products ---- */

enum { SIZE = 10, MATRIX_COUNT = 6 };

typedef int16_t matrix[SIZE][SIZE];
typedef int32_t product[SIZE][SIZE];

static void matrix_create(matrix m, uint64_t *seed)
{
    for (unsigned i = 0; i < SIZE; i++)
        for (unsigned j = 0; j < SIZE; j++)
            m[i][j] = (int16_t)(bench_random(seed) & 0xfff);
}

static void matrix_add(matrix m, int16_t value)
{
    for (unsigned i = 0; i < SIZE; i++)
        for (unsigned j = 0; j < SIZE; j++)
            m[i][j] = (int16_t)(m[i][j] + value);
}

static void matrix_scale(product to, const matrix m, int16_t value)
{
    for (unsigned i = 0; i < SIZE; i++)
        for (unsigned j = 0; j < SIZE; j++)
            to[i][j] = m[i][j] * value;
}

static void matrix_times_vector(int32_t to[SIZE], const matrix m, const int16_t v[SIZE])
{
    for (unsigned i = 0; i < SIZE; i++) {
        to[i] = 0;
        for (unsigned j = 0; j < SIZE; j++)
            to[i] += m[i][j] * v[j];
    }
}

/* Sums wrap: the fields of a product come from its middle bits when `fields` is set. */
static void matrix_times_matrix(product to, const matrix a, const matrix b, bool fields)
{
    for (unsigned i = 0; i < SIZE; i++) {
        for (unsigned j = 0; j < SIZE; j++) {
            uint32_t sum = 0;
            for (unsigned k = 0; k < SIZE; k++) {
                uint32_t x = (uint32_t)(a[i][k] * b[k][j]);
                sum += fields ? (x >> 2 & 15) * (x >> 5 & 127) : x;
            }
            to[i][j] = (int32_t)sum;
        }
    }
}

/* Points for every element above the one before, more for passing the limit. */
static int16_t product_judge(const product p, int32_t limit)
{
    int32_t sum = 0, last = 0;
    int16_t points = 0;
    for (unsigned i = 0; i < SIZE; i++) {
        for (unsigned j = 0; j < SIZE; j++) {
            int32_t x = p[i][j];
            sum = (int32_t)((uint32_t)sum + (uint32_t)x);
            if (sum > limit) {
                points = (int16_t)(points + 10);
                sum = 0;
            } else {
                points = (int16_t)(points + (x > last));
            }
            last = x;
        }
    }
    return points;
}

static uint16_t matrix_round(matrix a, const matrix b, int16_t value, uint16_t crc)
{
    product p;
    int32_t v[SIZE];
    matrix_add(a, value);
    matrix_scale(p, a, value);
    crc = crc_16(crc, (uint16_t)product_judge(p, 1 << 21));
    matrix_times_vector(v, a, b[0]);
    for (unsigned i = 0; i < SIZE; i++)
        crc = crc_32(crc, (uint32_t)v[i]);
    matrix_times_matrix(p, a, b, false);
    crc = crc_16(crc, (uint16_t)product_judge(p, 1 << 27));
    matrix_times_matrix(p, a, b, true);
    crc = crc_16(crc, (uint16_t)product_judge(p, 1 << 14));
    matrix_add(a, (int16_t)-value);
    return crc;
}

/* ---- state machine: what kinds of number are in a list with commas? ---- */

enum { TEXT_SIZE = 640, TEXT_COUNT = 6 };

enum state {
    START,
    SIGN,
    INTEGER,
    FRACTION,
    EXPONENT,
    EXPONENT_SIGN,
    SCIENTIFIC,
    INVALID,
    STATE_COUNT,
};

/* One number, up to its comma or the end; counts each state that is entered. */
static enum state state_scan(const uint8_t **at, uint32_t entered[STATE_COUNT])
{
    enum state state = START;
    const uint8_t *p = *at;
    for (; *p != 0 && *p != ',' && state != INVALID; p++) {
        uint8_t c = *p;
        bool digit = c >= '0' && c <= '9';
        enum state old = state;
        switch (state) {
        case START:
            state = c == '+' || c == '-' ? SIGN : INVALID;
            if (digit || c == '.')
                state = digit ? INTEGER : FRACTION;
            break;
        case SIGN:
            state = digit ? INTEGER : c == '.' ? FRACTION : INVALID;
            break;
        case INTEGER:
            if (!digit)
                state = c == '.' ? FRACTION : INVALID;
            break;
        case FRACTION:
            if (!digit)
                state = c == 'e' || c == 'E' ? EXPONENT : INVALID;
            break;
        case EXPONENT:
            state = c == '+' || c == '-' ? EXPONENT_SIGN : INVALID;
            break;
        case EXPONENT_SIGN:
        case SCIENTIFIC:
            state = digit ? SCIENTIFIC : INVALID;
            break;
        case INVALID:
        case STATE_COUNT:
        default:
            pvm_panic();
        }
        if (state != old)
            entered[state]++;
    }
    while (*p != 0 && *p != ',')
        p++;
    *at = *p == ',' ? p + 1 : p;
    return state;
}

static void text_create(uint8_t text[TEXT_SIZE + 1], uint64_t *seed)
{
    static const char *const number[] = {
        "5012",     "-1874",    "+874",     "122",      "35.54400", ".1234500",
        "-110.700", "+0.644",   "5.500e+3", "-.123e-2", "+0.6e-12", "87e+832",
        "T0.3e-1F", "-T.T++Tq", "1T3.4e4z", "34.0e-T^"};
    uint64_t used = 0;
    for (;;) {
        const char *from = number[bench_random(seed) >> 60];
        uint64_t size = strlen(from);
        if (used + size + 1 > TEXT_SIZE)
            break;
        memcpy(text + used, from, size);
        used += size;
        text[used++] = ',';
    }
    memset(text + used, 0, TEXT_SIZE + 1 - used);
}

/* Damage every `step`-th character but the commas; twice gives the text back. */
static void text_damage(uint8_t *text, uint8_t damage, unsigned step)
{
    for (unsigned i = 0; i < TEXT_SIZE && text[i] != 0; i += step) {
        uint8_t c = text[i] ^ damage;
        if (text[i] != ',' && c != ',' && c != 0)
            text[i] = c;
    }
}

static uint16_t text_round(uint8_t *text, uint8_t damage, unsigned step, uint16_t crc)
{
    uint32_t entered[STATE_COUNT] = {0}, final[STATE_COUNT] = {0};
    for (unsigned pass = 0; pass < 2; pass++) {
        for (const uint8_t *at = text; *at != 0;)
            final[state_scan(&at, entered)]++;
        text_damage(text, damage, step);
    }
    for (unsigned i = 0; i < STATE_COUNT; i++)
        crc = crc_32(crc_32(crc, entered[i]), final[i]);
    return crc;
}

/* ---- all of it ---- */

uint64_t bench(uint64_t n)
{
    static matrix a, b;
    static uint8_t text[TEXT_SIZE + 1];
    uint64_t seed = BENCH_SEED, digest = 0;
    struct node *list = list_create(&seed);
    matrix_create(a, &seed);
    matrix_create(b, &seed);
    text_create(text, &seed);
    for (uint64_t i = 0; i < n; i++) {
        uint16_t crc = list_round(&list, 0, (uint16_t)i);
        for (unsigned k = 0; k < MATRIX_COUNT; k++)
            crc = matrix_round(a, b, (int16_t)(crc & 0xff), crc);
        for (unsigned k = 0; k < TEXT_COUNT; k++)
            crc = text_round(text, (uint8_t)(crc & 0x5f), 3 + k, crc);
        digest = bench_mix(digest, crc);
    }
    return digest;
}

PVM_EXPORT(0, bench);
