/* SPDX-License-Identifier: MIT
 *
 * Random ecalls against a small model of the kernel that shares no code with it: slots
 * hold what a cap says, not hashes.  Every error kind, register, slot, quota, file and
 * byte of memory must be the model's; what fails changes nothing, in the model by
 * construction.  And content, not history, makes a hash.
 */
#include "tests/unit/kernel/fixture.h"

enum {
    SLOTS = 16,
    PAGES = 2,
    MEMORY = PAGES * PVM_PAGE_SIZE,
    FILES = 64,
    PINNED = 6, /* at first; then as the image says */
    NO_PIN = -1,
    QUOTA = 4,
    IMAGES = 2, /* the second one pins a slot */
    IMAGE_PIN = 5,
    CAPS_MAX = 400,
};

enum kind { NOTHING, ABSENT, DATA, CNODE, TYPE, INSTANCE, IMAGE };

/* A cap as the model knows it.  What is equal in all of this has one hash. */
struct cap {
    enum kind kind;
    uint8_t byte;  /* ABSENT: of the hash; CNODE, INSTANCE: log of the table */
    uint32_t size; /* DATA; IMAGE, INSTANCE: which image */
    uint8_t content[MEMORY]; /* DATA; TYPE, INSTANCE: the chain */
};

struct model {
    struct cap cap[CAPS_MAX]; /* 0 is NOTHING */
    uint32_t cap_count;
    uint32_t slot[SLOTS]; /* index into cap */
    uint8_t memory[MEMORY];
    uint64_t quota;
    uint32_t file[FILES];
    uint64_t file_next;
    int pinned; /* a slot, or NO_PIN */
    uint8_t chain[HASH256_SIZE];
    struct hash256 image[IMAGES]; /* their hashes */
};

static uint32_t add(struct model *m, struct cap cap)
{
    assert_true(m->cap_count < CAPS_MAX);
    m->cap[m->cap_count] = cap;
    return m->cap_count++;
}

static const struct cap *at(const struct model *m, uint64_t reg)
{
    return &m->cap[(reg & 0xff) < SLOTS ? m->slot[reg & 0xff] : 0];
}

static bool is_pinned(const struct model *m, uint64_t reg)
{
    return (int)(reg & 0xff) == m->pinned;
}

static enum kernel_error writable(const struct model *m, uint64_t reg)
{
    if (is_pinned(m, reg))
        return KERNEL_ERROR_SlotPinned;
    return (reg & 0xff) < SLOTS ? KERNEL_ERROR_None : KERNEL_ERROR_SlotOutOfRange;
}

static enum kernel_error both_writable(const struct model *m, uint64_t a, uint64_t b)
{
    if (is_pinned(m, a) || is_pinned(m, b))
        return KERNEL_ERROR_SlotPinned;
    return (a & 0xff) < SLOTS && (b & 0xff) < SLOTS ? KERNEL_ERROR_None
                                                    : KERNEL_ERROR_SlotOutOfRange;
}

/* ---- the model's ecalls; r is phi7..phi10 ---- */

static enum kernel_error model_copy(struct model *m, uint64_t *r)
{
    if (is_pinned(m, r[1]))
        return KERNEL_ERROR_SlotPinned;
    if (!at(m, r[0])->kind)
        return KERNEL_ERROR_SourceEmpty;
    if ((r[1] & 0xff) >= SLOTS)
        return KERNEL_ERROR_SlotOutOfRange;
    m->slot[r[1] & 0xff] = m->slot[r[0] & 0xff];
    return KERNEL_ERROR_None;
}

static enum kernel_error model_move(struct model *m, uint64_t *r)
{
    enum kernel_error error = both_writable(m, r[0], r[1]);
    if (!error && !at(m, r[0])->kind)
        error = KERNEL_ERROR_SourceEmpty;
    if (error)
        return error;
    uint32_t cap = m->slot[r[0] & 0xff];
    m->slot[r[0] & 0xff] = 0;
    m->slot[r[1] & 0xff] = cap;
    return KERNEL_ERROR_None;
}

static enum kernel_error model_drop(struct model *m, uint64_t *r)
{
    enum kernel_error error = writable(m, r[0]);
    if (!error)
        m->slot[r[0] & 0xff] = 0;
    return error;
}

static enum kernel_error model_swap(struct model *m, uint64_t *r)
{
    enum kernel_error error = both_writable(m, r[0], r[1]);
    if (error)
        return error;
    uint32_t cap = m->slot[r[0] & 0xff];
    m->slot[r[0] & 0xff] = m->slot[r[1] & 0xff];
    m->slot[r[1] & 0xff] = cap;
    return KERNEL_ERROR_None;
}

static enum kernel_error model_cnode(struct model *m, uint64_t *r)
{
    if ((r[1] & 0xff) > 16)
        return KERNEL_ERROR_InvalidCNodeSize;
    enum kernel_error error = writable(m, r[0]);
    if (!error)
        m->slot[r[0] & 0xff] =
            add(m, (struct cap){.kind = CNODE, .byte = (uint8_t)r[1]});
    return error;
}

static bool same_cap(const struct cap *a, const struct cap *b)
{
    return a->kind == b->kind && a->byte == b->byte && a->size == b->size &&
           !memcmp(a->content, b->content, sizeof a->content);
}

static enum kernel_error model_same(struct model *m, uint64_t *r)
{
    if (!at(m, r[0])->kind || !at(m, r[1])->kind)
        return KERNEL_ERROR_SlotEmpty;
    r[0] = same_cap(at(m, r[0]), at(m, r[1]));
    return KERNEL_ERROR_None;
}

static struct cap type_of(const uint8_t chain[HASH256_SIZE])
{
    struct cap cap = {.kind = TYPE};
    memcpy(cap.content, chain, HASH256_SIZE);
    return cap;
}

static enum kernel_error model_type(struct model *m, uint64_t *r)
{
    const struct cap *cap = at(m, r[0]);
    if (!cap->kind)
        return KERNEL_ERROR_SlotEmpty;
    if (cap->kind == ABSENT)
        return KERNEL_ERROR_InstanceNotFound;
    if (cap->kind != INSTANCE)
        return KERNEL_ERROR_NotAnInstance;
    enum kernel_error error = writable(m, r[1]);
    if (!error)
        m->slot[r[1] & 0xff] = add(m, type_of(cap->content));
    return error;
}

static enum kernel_error data_at(const struct model *m, uint64_t reg,
                                 const struct cap **ret_cap)
{
    *ret_cap = at(m, reg);
    if (!(*ret_cap)->kind)
        return KERNEL_ERROR_SlotEmpty;
    if ((*ret_cap)->kind == ABSENT)
        return KERNEL_ERROR_DataNotFound;
    return (*ret_cap)->kind == DATA ? KERNEL_ERROR_None : KERNEL_ERROR_NotData;
}

static enum kernel_error model_read(struct model *m, uint64_t *r)
{
    const struct cap *cap;
    enum kernel_error error = data_at(m, r[0], &cap);
    if (error)
        return error;
    uint64_t size = r[2] < cap->size ? r[2] : cap->size;
    uint64_t address = (uint32_t)r[1];
    if (size && address + size > MEMORY)
        return KERNEL_ERROR_MemoryFault;
    memcpy(m->memory + (size ? address : 0), cap->content, size);
    r[0] = size;
    return KERNEL_ERROR_None;
}

static enum kernel_error model_mint(struct model *m, uint64_t *r)
{
    uint64_t address = (uint32_t)r[0], size = r[1];
    if (size && (size > MEMORY || address + size > MEMORY))
        return KERNEL_ERROR_MemoryFault;
    enum kernel_error error = writable(m, r[3]);
    if (error)
        return error;
    uint32_t debit = size > PVM_PAGE_SIZE ? 2 * PVM_PAGE_SIZE : PVM_PAGE_SIZE;
    if ((r[2] == QUOTA ? m->quota : 0) < debit)
        return KERNEL_ERROR_QuotaExhausted;
    struct cap cap = {.kind = DATA, .size = debit};
    if (size)
        memcpy(cap.content, m->memory + address, size);
    m->quota -= debit;
    m->slot[r[3] & 0xff] = add(m, cap);
    return KERNEL_ERROR_None;
}

static enum kernel_error model_open(struct model *m, uint64_t *r)
{
    if (r[0] >= FILES || !m->file[r[0]])
        return KERNEL_ERROR_UnknownFile;
    enum kernel_error error = writable(m, r[1]);
    if (!error)
        m->slot[r[1] & 0xff] = m->file[r[0]];
    return error;
}

static enum kernel_error model_save(struct model *m, uint64_t *r)
{
    const struct cap *cap;
    enum kernel_error error = data_at(m, r[0], &cap);
    if (error)
        return error;
    if ((r[1] == QUOTA ? m->quota : 0) < cap->size)
        return KERNEL_ERROR_QuotaExhausted;
    m->quota -= cap->size;
    m->file[m->file_next] = m->slot[r[0] & 0xff];
    r[0] = m->file_next++;
    return KERNEL_ERROR_None;
}

/* The chain behind an image: BLAKE2b of both. */
static void extend(const struct model *m, const struct cap *image,
                   uint8_t ret_chain[HASH256_SIZE])
{
    uint8_t both[2 * HASH256_SIZE];
    memcpy(both, m->chain, HASH256_SIZE);
    memcpy(both + HASH256_SIZE, m->image[image->size].byte, HASH256_SIZE);
    struct hash256 chain = hash256_of(both, sizeof both);
    memcpy(ret_chain, chain.byte, HASH256_SIZE);
}

static enum kernel_error image_at(const struct model *m, uint64_t reg)
{
    const struct cap *cap = at(m, reg);
    if (cap->kind == ABSENT)
        return KERNEL_ERROR_ImageNotFound;
    return cap->kind == IMAGE ? KERNEL_ERROR_None : KERNEL_ERROR_NotAnImage;
}

/* Alone, nobody catches. */
static enum kernel_error model_yield(struct model *m, uint64_t *r)
{
    return at(m, r[0])->kind ? KERNEL_ERROR_UnhandledMarker : KERNEL_ERROR_SlotEmpty;
}

static enum kernel_error model_set_image(struct model *m, uint64_t *r)
{
    const struct cap *image = at(m, r[0]);
    if (!image->kind)
        return KERNEL_ERROR_SlotEmpty;
    enum kernel_error error = image_at(m, r[0]);
    if (error)
        return error;
    extend(m, image, m->chain);
    m->pinned = image->size ? IMAGE_PIN : NO_PIN;
    return KERNEL_ERROR_None;
}

static enum kernel_error model_spawn(struct model *m, uint64_t *r)
{
    const struct cap *image = at(m, r[0]), *cnode = at(m, r[1]);
    if (!image->kind || !cnode->kind)
        return KERNEL_ERROR_SlotEmpty;
    enum kernel_error error = image_at(m, r[0]);
    if (error)
        return error;
    if (cnode->kind == ABSENT)
        return KERNEL_ERROR_CNodeNotFound;
    if (cnode->kind != CNODE)
        return KERNEL_ERROR_NotACNode;
    if (image->size && IMAGE_PIN >= 1 << cnode->byte)
        return KERNEL_ERROR_SlotOutOfRange;
    error = writable(m, r[2]);
    if (error)
        return error;
    struct cap child = {.kind = INSTANCE, .byte = cnode->byte, .size = image->size};
    extend(m, image, child.content);
    m->slot[r[1] & 0xff] = 0;
    m->slot[r[2] & 0xff] = add(m, child);
    return KERNEL_ERROR_None;
}

/* The child takes slot 0 with it. */
static enum kernel_error model_host_call(struct model *m, uint64_t *r)
{
    const struct cap *cap = at(m, r[0]);
    if (!cap->kind)
        return KERNEL_ERROR_SlotEmpty;
    if (cap->kind == ABSENT)
        return KERNEL_ERROR_InstanceNotFound;
    if (cap->kind != INSTANCE)
        return KERNEL_ERROR_NotAnInstance;
    if (r[1] & 0xff) /* of one endpoint */
        return KERNEL_ERROR_EndpointOutOfRange;
    m->slot[0] = 0;
    return KERNEL_ERROR_None;
}

static enum kernel_error (*const model_call[])(struct model *m, uint64_t *r) = {
    [1] = model_copy,       [2] = model_move,   [3] = model_drop,
    [4] = model_swap,       [5] = model_cnode,  [16] = model_yield,
    [17] = model_set_image, [18] = model_spawn, [26] = model_host_call,
    [20] = model_same,      [21] = model_type,  [22] = model_read,
    [23] = model_mint,      [24] = model_open,  [25] = model_save};

/* ---- comparing ---- */

/* The slot table of an instance is empty but for what its image pins. */
static void compare_root(struct fixture *f, const struct cap *cap,
                         const uint8_t *instance)
{
    struct hash256 root;
    struct bytes wire;
    memcpy(root.byte, instance + 1 + 2 * HASH256_SIZE, HASH256_SIZE);
    assert_int_equal(kernel_get(f->k, &root, &wire), KERNEL_STATUS_OK);
    assert_int_equal(wire.data[1], cap->byte);
    assert_int_equal(wire.size, cap->size ? 6 + 4 + HASH256_SIZE : 6);
    assert_int_equal(cap->size ? wire.data[6] : IMAGE_PIN, IMAGE_PIN);
}

static void compare_slot(struct fixture *f, const struct cap *cap,
                         const struct slot *slot, const struct hash256 *image)
{
    struct bytes wire;
    assert_int_equal(slot->used, cap->kind != NOTHING);
    if (!slot->used)
        return;
    if (cap->kind == ABSENT) {
        assert_int_equal(slot->hash.byte[0], cap->byte);
        return;
    }
    assert_int_equal(kernel_get(f->k, &slot->hash, &wire), KERNEL_STATUS_OK);
    const uint8_t *p = wire.data;
    switch (cap->kind) {
    case DATA:
        assert_int_equal(wire.size, 5 + cap->size);
        assert_memory_equal(p + 5, cap->content, cap->size);
        break;
    case CNODE:
        assert_true(wire.size == 6 && p[0] == 3 && p[1] == cap->byte);
        break;
    case TYPE:
        assert_true(wire.size == 33 && p[0] == 4);
        assert_memory_equal(p + 1, cap->content, HASH256_SIZE);
        break;
    case INSTANCE:
        assert_int_equal(p[0], 0);
        assert_memory_equal(p + 1, cap->content, HASH256_SIZE);
        assert_memory_equal(p + 1 + HASH256_SIZE, image[cap->size].byte, HASH256_SIZE);
        compare_root(f, cap, p);
        break;
    case IMAGE:
        assert_memory_equal(slot->hash.byte, image[cap->size].byte, HASH256_SIZE);
        break;
    case NOTHING:
    case ABSENT:
        break;
    }
}

static void compare(struct fixture *f, const struct model *m, const uint64_t *r)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        compare_slot(f, &m->cap[m->slot[i]], &top(f)->cnode.slot[i], m->image);
    for (uint32_t i = SLOTS; i < KERNEL_SLOT_COUNT; i++)
        assert_false(top(f)->cnode.slot[i].used);
    assert_memory_equal(top(f)->state.reg + 7, r, 4 * sizeof *r);
    for (uint32_t i = 0; i < PAGES; i++)
        assert_memory_equal(pvm_mem_page(top(f)->state.mem, i),
                            m->memory + i * PVM_PAGE_SIZE, PVM_PAGE_SIZE);
    assert_int_equal(kernel_quota(f->k, QUOTA), m->quota);
    assert_memory_equal(top(f)->chain.byte, m->chain, HASH256_SIZE);
    for (int i = 0; i < KERNEL_SLOT_COUNT; i++)
        assert_int_equal(top(f)->pinned[i], i == m->pinned);
    for (uint64_t i = 0; i < FILES; i++)
        assert_int_equal(kernel_file(f->k, i) != NULL, m->file[i] != 0);
}

/* ---- random sequences ---- */

static void begin(struct fixture *f, struct model *m, uint64_t *seed)
{
    static const uint8_t log = 4;
    start(f, false);
    memset(m, 0, sizeof *m);
    m->cap_count = 1;
    m->file_next = 1;
    map_memory(f);
    for (uint32_t i = 0; i < MEMORY; i++)
        m->memory[i] = (uint8_t)(i / 64 * 7 + (test_random(seed) & 1));
    assert_int_equal(
        pvm_mem_write(top(f)->state.mem, 0, m->memory, sizeof m->memory, NULL), ERR_ok);
    m->slot[2] = add(m, (struct cap){.kind = ABSENT, .byte = 0xaa});
    struct hash256 data = put_data(f, "pinned", 1), cnode = put_cnode(f, log);
    m->image[0] = put_image(f, 1, NULL, 0);
    m->image[1] = put_image(f, 1, &data, IMAGE_PIN);
    set(f, 3, put_instance(f, filled(0x33), m->image[0], cnode));
    struct cap instance = {.kind = INSTANCE, .byte = log};
    memset(instance.content, 0x33, HASH256_SIZE);
    m->slot[3] = add(m, instance);
    for (uint32_t i = 0; i < IMAGES; i++) {
        set(f, 7 + i, m->image[i]);
        m->slot[7 + i] = add(m, (struct cap){.kind = IMAGE, .size = i});
    }
    memset(m->chain, 1, sizeof m->chain);
    m->pinned = PINNED;
    set(f, PINNED, data);
    struct cap pinned = {.kind = DATA, .size = PVM_PAGE_SIZE};
    memcpy(pinned.content, "pinned", 6);
    m->slot[PINNED] = add(m, pinned);
    top(f)->pinned[PINNED] = true;
}

static uint64_t operand(uint64_t *seed)
{
    uint64_t value = test_random(seed);
    switch (value >> 60) {
    case 0:
        return value & 0x3fff;
    case 1:
        return UINT64_MAX - (value & 0xff);
    case 2:
        return (value & 0xf) | 0x500;
    case 3:
        return QUOTA;
    default:
        return value & 15;
    }
}

/* A slot that holds such a cap, if there is one. */
static uint64_t slot_with(const struct model *m, enum kind kind, uint64_t *seed)
{
    uint32_t first = (uint32_t)(test_random(seed) % SLOTS);
    for (uint32_t i = 0; i < SLOTS; i++) {
        uint32_t slot = (first + i) % SLOTS;
        if (m->cap[m->slot[slot]].kind == kind)
            return slot;
    }
    return first;
}

/* Operands that make the call succeed, more or less. */
static void aim(const struct model *m, uint32_t op, uint64_t *seed, uint64_t r[4])
{
    static const uint8_t kind[] = {[17] = IMAGE, [18] = IMAGE, [21] = INSTANCE,
                                   [22] = DATA,  [25] = DATA,  [26] = INSTANCE};
    if (op < countof(kind) && kind[op])
        r[0] = slot_with(m, kind[op], seed);
    if (op == 18)
        r[1] = slot_with(m, CNODE, seed);
    if (op == 23)
        r[2] = QUOTA;
    if (op == 24)
        r[0] = test_random(seed) % m->file_next;
    if (op == 25)
        r[1] = QUOTA;
    if (op == 26)
        r[1] &= 0x110; /* too many, or beyond the byte */
}

static void step(struct fixture *f, struct model *m, uint64_t *seed,
                 unsigned count[][2])
{
    static const uint8_t ops[] = {1,  2,  3,  4,  5,  5,  16, 17, 18, 18, 20,
                                  21, 22, 22, 23, 23, 23, 24, 25, 26, 26};
    uint32_t op = ops[test_random(seed) % countof(ops)];
    uint64_t r[4], previous;
    for (int i = 0; i < 4; i++)
        r[i] = operand(seed);
    if (test_random(seed) % 2)
        aim(m, op, seed, r);
    if (!(test_random(seed) & 7)) {
        m->quota = test_random(seed) & 0xffff;
        assert_int_equal(kernel_quota_seed(f->k, QUOTA, m->quota, &previous),
                         KERNEL_STATUS_OK);
    }
    enum kernel_error got = call(f, op, r[0], r[1], r[2], r[3]);
    if (f->k->stack_size > 1)
        (void)kernel_pop(f->k);
    enum kernel_error want = model_call[op](m, r);
    assert_string_equal(kernel_error_name(got), kernel_error_name(want));
    count[op][got != KERNEL_ERROR_None]++;
    compare(f, m, r);
}

static void test_model(void **unused)
{
    static struct model m;
    uint64_t first = test_seed(11), seed = first;
    unsigned count[countof(model_call)][2] = {{0}};
    (void)unused;
    test_reproduce("kernel_model", first);
    for (int round = 0; round < 100; round++) {
        struct fixture f;
        begin(&f, &m, &seed);
        for (int i = 0; i < 60 && kernel_cap_count(f.k) < 60; i++)
            step(&f, &m, &seed, count);
        stop(&f);
    }
    /* Each call has been made in vain and, but for yields, with success. */
    for (size_t op = 0; op < countof(model_call); op++) {
        if (model_call[op] && (count[op][1] < 5 || (op != 16 && count[op][0] < 5)))
            fail_msg("op %zu: %u good, %u bad", op, count[op][0], count[op][1]);
    }
}

/* Two histories that end in the same slots end in the same hash. */
static void test_history(void **unused)
{
    uint64_t first = test_seed(12), seed = first;
    (void)unused;
    test_reproduce("kernel_model", first);
    for (int round = 0; round < 50; round++) {
        struct fixture a, b;
        start(&a, false);
        start(&b, false);
        for (int i = 0; i < 40; i++) {
            uint64_t op = 1 + test_random(&seed) % 4;
            (void)call(&a, (uint32_t)op, test_random(&seed) & 15,
                       test_random(&seed) & 15, 0, 0);
        }
        for (uint32_t i = SLOTS; i-- > 0;) { /* the shortest way, from behind */
            top(&b)->cnode.slot[i].used = false;
            if (top(&a)->cnode.slot[i].used)
                set(&b, i, top(&a)->cnode.slot[i].hash);
        }
        struct hash256 x = kernel_slots_hash(a.k, &top(&a)->cnode);
        struct hash256 y = kernel_slots_hash(b.k, &top(&b)->cnode);
        assert_memory_equal(&x, &y, sizeof x);
        stop(&a);
        stop(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_model),
        cmocka_unit_test(test_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
