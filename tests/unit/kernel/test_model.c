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
    PINNED = 6,
    QUOTA = 4,
    CAPS_MAX = 400,
};

enum kind { NOTHING, ABSENT, DATA, CNODE, TYPE, INSTANCE };

/* A cap as the model knows it. */
struct cap {
    enum kind kind;
    uint8_t byte;  /* ABSENT: of the hash; TYPE, INSTANCE: of the chain; CNODE: log */
    uint32_t size; /* DATA */
    uint8_t content[MEMORY];
};

struct model {
    struct cap cap[CAPS_MAX]; /* 0 is NOTHING */
    uint32_t cap_count;
    uint32_t slot[SLOTS]; /* index into cap */
    uint8_t memory[MEMORY];
    uint64_t quota;
    uint32_t file[FILES];
    uint64_t file_next;
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

static enum kernel_error writable(uint64_t reg)
{
    if ((reg & 0xff) == PINNED)
        return KERNEL_ERROR_SlotPinned;
    return (reg & 0xff) < SLOTS ? KERNEL_ERROR_None : KERNEL_ERROR_SlotOutOfRange;
}

static enum kernel_error both_writable(uint64_t a, uint64_t b)
{
    if ((a & 0xff) == PINNED || (b & 0xff) == PINNED)
        return KERNEL_ERROR_SlotPinned;
    return (a & 0xff) < SLOTS && (b & 0xff) < SLOTS ? KERNEL_ERROR_None
                                                    : KERNEL_ERROR_SlotOutOfRange;
}

/* ---- the model's ecalls; r is phi7..phi10 ---- */

static enum kernel_error model_copy(struct model *m, uint64_t *r)
{
    if ((r[1] & 0xff) == PINNED)
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
    enum kernel_error error = both_writable(r[0], r[1]);
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
    enum kernel_error error = writable(r[0]);
    if (!error)
        m->slot[r[0] & 0xff] = 0;
    return error;
}

static enum kernel_error model_swap(struct model *m, uint64_t *r)
{
    enum kernel_error error = both_writable(r[0], r[1]);
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
    enum kernel_error error = writable(r[0]);
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

static enum kernel_error model_type(struct model *m, uint64_t *r)
{
    const struct cap *cap = at(m, r[0]);
    if (!cap->kind)
        return KERNEL_ERROR_SlotEmpty;
    if (cap->kind == ABSENT)
        return KERNEL_ERROR_InstanceNotFound;
    if (cap->kind != INSTANCE)
        return KERNEL_ERROR_NotAnInstance;
    enum kernel_error error = writable(r[1]);
    if (!error)
        m->slot[r[1] & 0xff] = add(m, (struct cap){.kind = TYPE, .byte = cap->byte});
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
    enum kernel_error error = writable(r[3]);
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
    enum kernel_error error = writable(r[1]);
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

static enum kernel_error (*const model_call[])(struct model *m, uint64_t *r) = {
    [1] = model_copy,  [2] = model_move,  [3] = model_drop,  [4] = model_swap,
    [5] = model_cnode, [20] = model_same, [21] = model_type, [22] = model_read,
    [23] = model_mint, [24] = model_open, [25] = model_save};

/* ---- comparing ---- */

static void compare_slot(struct fixture *f, const struct cap *cap,
                         const struct slot *slot)
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
        assert_true(wire.size == 33 && p[0] == 4 && p[1] == cap->byte);
        break;
    case INSTANCE:
        assert_true(p[0] == 0 && p[1] == cap->byte);
        break;
    case NOTHING:
    case ABSENT:
        break;
    }
}

static void compare(struct fixture *f, const struct model *m, const uint64_t *r)
{
    for (uint32_t i = 0; i < SLOTS; i++)
        compare_slot(f, &m->cap[m->slot[i]], &top(f)->cnode.slot[i]);
    for (uint32_t i = SLOTS; i < KERNEL_SLOT_COUNT; i++)
        assert_false(top(f)->cnode.slot[i].used);
    assert_memory_equal(top(f)->state.reg + 7, r, 4 * sizeof *r);
    for (uint32_t i = 0; i < PAGES; i++)
        assert_memory_equal(pvm_mem_page(top(f)->state.mem, i),
                            m->memory + i * PVM_PAGE_SIZE, PVM_PAGE_SIZE);
    assert_int_equal(kernel_quota(f->k, QUOTA), m->quota);
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
    struct hash256 image = put_image(f, 1, NULL, 0), cnode = put_cnode(f, log);
    set(f, 3, put_instance(f, filled(0x33), image, cnode));
    m->slot[3] = add(m, (struct cap){.kind = INSTANCE, .byte = 0x33});
    set(f, PINNED, put_data(f, "pinned", 1));
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

static void step(struct fixture *f, struct model *m, uint64_t *seed, unsigned count[2])
{
    static const uint8_t ops[] = {1, 2, 3, 4, 5, 20, 21, 22, 22, 23, 23, 23, 24, 25};
    uint32_t op = ops[test_random(seed) % countof(ops)];
    uint64_t r[4], previous;
    for (int i = 0; i < 4; i++)
        r[i] = operand(seed);
    if (op == 23 && test_random(seed) % 4)
        r[2] = QUOTA;
    if (op == 25 && test_random(seed) % 2)
        r[1] = QUOTA;
    if (!(test_random(seed) & 7)) {
        m->quota = test_random(seed) & 0xffff;
        assert_int_equal(kernel_quota_seed(f->k, QUOTA, m->quota, &previous),
                         KERNEL_STATUS_OK);
    }
    enum kernel_error got = call(f, op, r[0], r[1], r[2], r[3]);
    enum kernel_error want = model_call[op](m, r);
    assert_string_equal(kernel_error_name(got), kernel_error_name(want));
    count[got != KERNEL_ERROR_None]++;
    compare(f, m, r);
}

static void test_model(void **unused)
{
    static struct model m;
    uint64_t first = test_seed(11), seed = first;
    unsigned count[2] = {0, 0};
    (void)unused;
    test_reproduce("kernel_model", first);
    for (int round = 0; round < 30; round++) {
        struct fixture f;
        begin(&f, &m, &seed);
        for (int i = 0; i < 60 && kernel_cap_count(f.k) < 60; i++)
            step(&f, &m, &seed, count);
        stop(&f);
    }
    assert_true(count[0] > 400 && count[1] > 400);
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
