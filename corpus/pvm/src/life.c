/* SPDX-License-Identifier: MIT
 *
 * life - Conway's Game of Life on a torus, from a random start.
 *
 *   life [WIDTH [HEIGHT [GENERATIONS]]]      64 24 100 by default
 *
 * No two runs are the same: the start comes from the host's randomness, and the clock
 * is read along the way.  That is what a recording of it has to hold.
 */
#include "host.h"

enum { WIDTH_MAX = 256, HEIGHT_MAX = 256, GENERATION_MAX = 1000000, REPORT_COUNT = 10 };

struct board {
    uint64_t width;
    uint64_t height;
    uint8_t *cell; /* 0 or 1, row by row */
    uint8_t *next;
};

static struct host_out out = {.fd = HOST_STDOUT};

/* One random byte a cell; a third of the cells live. */
static void board_fill(struct board *b)
{
    uint8_t random[64];
    uint64_t used = sizeof random;
    for (uint64_t i = 0; i < b->width * b->height; i++) {
        if (used == sizeof random) {
            if (host_random(random, sizeof random) != sizeof random) {
                host_complain("life", NULL, "no randomness");
                host_exit(1);
            }
            used = 0;
        }
        b->cell[i] = random[used++] < 85;
    }
}

static uint64_t board_population(const struct board *b)
{
    uint64_t population = 0;
    for (uint64_t i = 0; i < b->width * b->height; i++)
        population += b->cell[i];
    return population;
}

/* How many of the eight cells around it live. */
static unsigned board_neighbours(const struct board *b, uint64_t x, uint64_t y)
{
    uint64_t left = x == 0 ? b->width - 1 : x - 1;
    uint64_t right = x == b->width - 1 ? 0 : x + 1;
    const uint8_t *above = b->cell + b->width * (y == 0 ? b->height - 1 : y - 1);
    const uint8_t *row = b->cell + b->width * y;
    const uint8_t *below = b->cell + b->width * (y == b->height - 1 ? 0 : y + 1);
    unsigned sum = (unsigned)above[left] + above[x] + above[right];
    sum += (unsigned)row[left] + row[right];
    return sum + (unsigned)below[left] + below[x] + below[right];
}

static void board_step(struct board *b)
{
    for (uint64_t y = 0; y < b->height; y++) {
        for (uint64_t x = 0; x < b->width; x++) {
            uint64_t i = b->width * y + x;
            unsigned neighbours = board_neighbours(b, x, y);
            b->next[i] = neighbours == 3 || (neighbours == 2 && b->cell[i] != 0);
        }
    }
    uint8_t *old = b->cell;
    b->cell = b->next;
    b->next = old;
}

static void board_print(const struct board *b)
{
    for (uint64_t y = 0; y < b->height; y++) {
        for (uint64_t x = 0; x < b->width; x++)
            host_put_byte(&out, b->cell[b->width * y + x] ? '#' : '.');
        host_put_byte(&out, '\n');
    }
}

static void report(const struct board *b, uint64_t generation, uint64_t start_ns)
{
    host_put_text(&out, "generation ");
    host_put_number(&out, generation, 7);
    host_put_text(&out, "  living ");
    host_put_number(&out, board_population(b), 6);
    host_put_text(&out, "  after ");
    host_put_number(&out, (host_clock(HOST_CLOCK_RUN) - start_ns) / 1000, 8);
    host_put_text(&out, " us\n");
}

static uint64_t next_number(struct pvm_bytes *args, uint64_t otherwise, uint64_t min,
                            uint64_t max)
{
    uint64_t value = otherwise;
    const char *arg = pvm_args(args);
    if (arg != NULL && (!host_parse_u64(arg, max, &value) || value < min)) {
        host_complain("life", arg, "not a number, or out of range");
        host_exit(2);
    }
    return value;
}

uint64_t main_(void)
{
    static uint8_t cell[2][WIDTH_MAX * HEIGHT_MAX];
    char buffer[256];
    struct pvm_bytes args = host_load_args("life", buffer, sizeof buffer);
    struct board b = {.cell = cell[0], .next = cell[1]};
    b.width = next_number(&args, 64, 3, WIDTH_MAX);
    b.height = next_number(&args, 24, 3, HEIGHT_MAX);
    uint64_t generations = next_number(&args, 100, 0, GENERATION_MAX);
    uint64_t start_ns = host_clock(HOST_CLOCK_RUN);
    uint64_t interval = generations / REPORT_COUNT + 1;
    board_fill(&b);
    for (uint64_t i = 0; i < generations; i++) {
        if (i % interval == 0)
            report(&b, i, start_ns);
        board_step(&b);
    }
    report(&b, generations, start_ns);
    board_print(&b);
    host_flush(&out);
    if (out.error != 0)
        host_exit(1);
    return 0;
}

PVM_EXPORT(0, main_);
