/* SPDX-License-Identifier: MIT
 *
 * Invocations, calls, yields and what is settled, on both engines: S-06 to S-25, H-17
 * and H-18 of pvm-kernel.md 11.
 */
#include "tests/unit/kernel/programs.h"

#define GAS 1000000u

static const char reply[] = "ecalli 0";
static const char call5[] = "load_imm a0, 5\nload_imm a1, 0\necalli 26\necalli 0";

static enum kernel_engine engine;

static const struct kernel_outcome *outcome(struct fixture *f)
{
    return kernel_last_outcome(f->k);
}

#define same(a, b) assert_memory_equal((a).byte, (b).byte, HASH256_SIZE)

static struct hash256 plain(struct fixture *f, const char *text,
                            const struct kernel_entry *entry, uint32_t count)
{
    return put_parts(f, put_program(f, text, NULL), put_slots(f, entry, count),
                     (struct kernel_instance_parts){.mem_size = 0});
}

/* ---- calls ---- */

static void test_slot0(void **unused)
{
    struct fixture f;
    (void)unused;
    create(&f, 1000, engine);
    f.k->config.flags |= KERNEL_STATEFUL_CHILDREN;
    /* S-06: called through slot 0, and handed back. */
    struct hash256 child = plain(&f, reply, NULL, 0);
    struct hash256 parent =
        plain(&f, "load_imm a0, 0\nload_imm a1, 0\necalli 26\necalli 0",
              &(struct kernel_entry){0, child}, 1);
    assert_int_equal(invoke(&f, parent, GAS), KERNEL_EXIT_HALT);
    assert_true(outcome(&f)->has_slot0);
    same(outcome(&f)->slot0, child);
    /* S-09: the child's own slot 0 stays when the caller has none. */
    struct hash256 gift = put_type(&f, 0x55);
    child = plain(&f, reply, &(struct kernel_entry){0, gift}, 1);
    parent = plain(&f, call5, &(struct kernel_entry){5, child}, 1);
    assert_int_equal(invoke(&f, parent, GAS), KERNEL_EXIT_HALT);
    same(outcome(&f)->slot0, gift);
    stop(&f);
}

/* S-07: nobody continues, nothing of the frames is kept, debits stay. */
static void test_faults(void **unused)
{
    static const struct {
        const char *text;
        uint32_t reason;
    } row[] = {{"trap", KERNEL_EXIT_TRAP},
               {"load_imm a0, 1\njump_ind a0, 0", KERNEL_EXIT_PANIC},
               {"load_u8 a0, [0x40000000]", KERNEL_EXIT_PAGE_FAULT},
               {"loop:\njump loop", KERNEL_EXIT_OUT_OF_GAS}};
    static const char mint_and_call[] =
        "load_imm a0, 0\nload_imm a1, 0\nload_imm a2, 3\nload_imm a3, 6\necalli 23\n"
        "load_imm a0, 5\nload_imm a1, 0\necalli 26\necalli 0";
    (void)unused;
    for (size_t i = 0; i < countof(row); i++) {
        struct fixture f;
        uint64_t previous;
        create(&f, 1000, engine);
        assert_int_equal(kernel_quota_seed(f.k, 3, 8192, &previous), KERNEL_STATUS_OK);
        struct hash256 gift = put_type(&f, 0x55);
        struct hash256 deep = plain(&f, row[i].text, NULL, 0);
        struct hash256 middle = plain(&f, call5, &(struct kernel_entry){5, deep}, 1);
        struct kernel_entry entry[] = {{0, gift}, {5, middle}};
        struct hash256 base = plain(&f, mint_and_call, entry, 2);
        assert_int_equal(invoke(&f, base, 5000), row[i].reason);
        assert_int_equal(outcome(&f)->frame, 2);
        assert_int_equal(outcome(&f)->stack_size, 0);
        assert_int_equal(kernel_stack_size(f.k), 0);
        same(outcome(&f)->slot0, gift);
        assert_false(outcome(&f)->has_post_instance);
        assert_int_equal(kernel_quota(f.k, 3), 4096);
        assert_int_equal(invoke(&f, plain(&f, reply, NULL, 0), GAS), KERNEL_EXIT_HALT);
        stop(&f);
    }
}

static struct kernel_mapping mapping(uint64_t start, uint64_t size, uint32_t slot)
{
    return (struct kernel_mapping){
        .start = start, .size = size, .path = {slot}, .path_size = 1};
}

/* Frames that follow one another find the memory that each was built with, though they
 * use the same address space. */
static void test_memory(void **unused)
{
    static const char use[] = "load_u64 a0, [0x2000]\nload_imm a1, 9\n"
                              "store_u64 a1, [0x2000]\necalli 0";
    static const char calls[] = "load_imm a0, 5\nload_imm a1, 0\necalli 26\n"
                                "load_imm a0, 5\nload_imm a1, 0\necalli 26\n"
                                "add_64 s0, s0, a0\n"
                                "load_imm a0, 6\nload_imm a1, 0\necalli 26\n"
                                "add_64 s0, s0, a0\n"
                                "branch_ne_imm s0, 7, bad\nfallthrough\n"
                                "load_imm a0, 7\nload_imm a1, 0\necalli 26\n"
                                "bad:\ntrap";
    static const uint8_t seven[] = {7};
    struct kernel_overlay overlay = {.start = 0x2000, .bytes = bytes_of(seven, 1)};
    struct kernel_instance_parts parts = {.mem_size = 3 * PVM_PAGE_SIZE};
    struct fixture f;
    (void)unused;
    create(&f, 1000, engine);
    struct hash256 image = put_program(&f, use, NULL), none = put_slots(&f, NULL, 0);
    struct kernel_entry entry[] = {
        {5, put_parts(&f, image, none, parts)}, {6, filled(0)}, {7, filled(0)}};
    parts.overlay = &overlay;
    parts.overlay_count = 1;
    entry[1].hash = put_parts(&f, image, none, parts);
    parts = (struct kernel_instance_parts){.mem_size = 2 * PVM_PAGE_SIZE};
    entry[2].hash = put_parts(&f, image, none, parts);
    struct hash256 base = plain(&f, calls, entry, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(invoke(&f, base, GAS), KERNEL_EXIT_PAGE_FAULT);
        assert_int_equal(outcome(&f)->result.exit_arg, 0x2000);
        assert_int_equal(outcome(&f)->frame, 1);
        assert_int_equal(f.k->spare_count, 1);
    }
    stop(&f);
}

enum { STORES = 3 };

/* Instances that store phi8 at phi7, with other pages and contents. */
static void put_stores(struct fixture *f, struct hash256 ret_instance[STORES])
{
    static const uint8_t bytes[] = {1, 2, 3};
    const struct kernel_mapping map[] = {mapping(0, 4096, 6), mapping(8192, 8192, 6)};
    const struct kernel_overlay overlay = {.start = 8192,
                                           .bytes = bytes_of(bytes, sizeof bytes)};
    struct hash256 image =
        put_program(f, "store_ind_u64 a1, [a0]\necalli 0",
                    &(struct kernel_image_parts){.mapping = map, .mapping_count = 2});
    struct hash256 none = put_slots(f, NULL, 0);
    const struct kernel_instance_parts parts[STORES] = {
        {.mem_size = 16384},
        {.mem_size = 4096, .overlay = &overlay, .overlay_count = 1},
        {.mem_size = 16384, .overlay = &overlay, .overlay_count = 1}};
    for (int i = 0; i < STORES; i++)
        ret_instance[i] = put_parts(f, image, none, parts[i]);
}

/* What an invocation leaves does not depend on those before it: a kernel that goes on
 * and one that has just begun settle the same instance. */
static void test_history(void **unused)
{
    uint64_t first = test_seed(21), seed = first;
    unsigned halts = 0;
    struct fixture old;
    struct hash256 instance[STORES];
    (void)unused;
    test_reproduce("kernel_invoke", first);
    create(&old, 1000, engine);
    put_stores(&old, instance);
    for (int i = 0; i < 40; i++) {
        const struct hash256 *which = &instance[test_random(&seed) % STORES];
        const uint64_t args[4] = {test_random(&seed) % 17000, test_random(&seed)};
        struct kernel_result a, b;
        struct fixture fresh;
        create(&fresh, 1000, engine);
        put_stores(&fresh, instance);
        assert_int_equal(kernel_invoke(old.k, which, 0, args, GAS, &a), ERR_ok);
        assert_int_equal(kernel_invoke(fresh.k, which, 0, args, GAS, &b), ERR_ok);
        assert_memory_equal(&a, &b, sizeof a);
        same(outcome(&old)->post_instance, outcome(&fresh)->post_instance);
        same(outcome(&old)->mem_digest, outcome(&fresh)->mem_digest);
        halts += a.exit_reason == KERNEL_EXIT_HALT;
        stop(&fresh);
    }
    assert_true(halts > 5 && halts < 40);
    stop(&old);
}

/* What a kernel keeps for the next frames is bounded, in number and in size. */
static void test_spaces(void **unused)
{
    struct fixture f;
    (void)unused;
    create_deep(&f, 20, engine);
    struct kernel_instance_parts parts = {.mem_size = PVM_PAGE_SIZE};
    struct kernel_entry entry = {5, plain(&f, reply, NULL, 0)};
    struct hash256 image = put_program(&f, call5, NULL);
    for (int i = 0; i < 12; i++)
        entry.hash = put_parts(&f, image, put_slots(&f, &entry, 1), parts);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(invoke(&f, entry.hash, GAS), KERNEL_EXIT_HALT);
        assert_int_equal(f.space_count, SPARE_SPACE_MAX);
    }
    parts.mem_size = 1025 * PVM_PAGE_SIZE;
    struct hash256 large =
        put_parts(&f, put_program(&f, reply, NULL), put_slots(&f, NULL, 0), parts);
    assert_int_equal(invoke(&f, large, GAS), KERNEL_EXIT_HALT);
    assert_int_equal(f.space_count, SPARE_SPACE_MAX); /* zero pages are no burden */
    stop(&f);
}

/* ---- yields ---- */

static struct hash256 catching(struct fixture *f, const char *text,
                               const struct kernel_entry *entry, uint32_t count)
{
    const struct kernel_image_parts more = {.has_yield_slot = true, .yield_slot = 9};
    return put_parts(f, put_program(f, text, &more), put_slots(f, entry, count),
                     (struct kernel_instance_parts){.mem_size = 0});
}

/* S-11, S-15, S-18: the nearest catcher; a full stack; an overflow. */
static void test_yield(void **unused)
{
    static const char yield8[] = "load_imm a0, 8\necalli 16\nload_imm a0, 3\necalli 0";
    struct fixture f;
    struct hash256 catcher, marker;
    struct kernel_result result;
    uint32_t count;
    (void)unused;
    create(&f, 1000, engine);
    marker = put_type(&f, 0x11);
    assert_int_equal(kernel_catcher_new(f.k, &catcher), KERNEL_STATUS_OK);
    assert_int_equal(kernel_catcher_add(f.k, &catcher, &marker, &count),
                     KERNEL_STATUS_OK);
    struct hash256 yielder = plain(&f, yield8, &(struct kernel_entry){8, marker}, 1);
    struct kernel_entry entry[] = {{5, yielder}, {9, catcher}};
    struct hash256 middle = catching(&f, call5, entry, 2);
    entry[0].hash = middle;
    struct hash256 base = catching(&f, call5, entry, 2);
    assert_int_equal(invoke(&f, base, GAS), KERNEL_EXIT_TRAP); /* depth 3 of 3 */
    assert_int_equal(outcome(&f)->error, KERNEL_ERROR_CallStackFull);
    assert_int_equal(invoke(&f, middle, GAS), KERNEL_EXIT_PAUSED);
    assert_int_equal(outcome(&f)->result.exit_arg, 0);
    uint64_t left = outcome(&f)->result.gas_remaining;
    assert_int_equal(kernel_resume(f.k, 0, NULL, UINT64_MAX - left + 1, &result),
                     ERR_ok);
    assert_int_equal(outcome(&f)->error, KERNEL_ERROR_GasOverflow);
    assert_int_equal(kernel_stack_size(f.k), 3);
    assert_int_equal(kernel_resume(f.k, 0, NULL, UINT64_MAX - left, &result), ERR_ok);
    assert_int_equal(result.exit_reason, KERNEL_EXIT_HALT);
    assert_int_equal(result.return_value, 3);
    stop(&f);
}

static void test_nearest(void **unused)
{
    static const char yield8[] = "load_imm a0, 8\necalli 16\necalli 0";
    struct fixture f;
    struct hash256 catcher, marker;
    uint32_t count;
    (void)unused;
    create_deep(&f, 4, engine);
    marker = put_type(&f, 0x11);
    assert_int_equal(kernel_catcher_new(f.k, &catcher), KERNEL_STATUS_OK);
    assert_int_equal(kernel_catcher_add(f.k, &catcher, &marker, &count),
                     KERNEL_STATUS_OK);
    struct kernel_entry entry[] = {{5, filled(0)}, {8, marker}, {9, catcher}};
    entry[0].hash = catching(&f, yield8, entry + 1, 2);
    entry[0].hash = catching(&f, call5, entry, 3);
    struct hash256 base = catching(&f, call5, entry, 3);
    assert_int_equal(invoke(&f, base, GAS), KERNEL_EXIT_PAUSED);
    assert_int_equal(outcome(&f)->result.exit_arg, 1);
    assert_int_equal(outcome(&f)->cause, KERNEL_CAUSE_YIELD);
    same(outcome(&f)->marker, marker);
    stop(&f);
}

/* ---- what is settled ---- */

static struct kernel_cap settled(struct fixture *f, struct hash256 instance)
{
    assert_int_equal(invoke(f, instance, GAS), KERNEL_EXIT_HALT);
    struct kernel_cap cap = cap_at(f, outcome(f)->post_instance);
    (void)cap_at(f, cap.instance.root_cnode); /* H-17 */
    return cap;
}

static void test_settle(void **unused)
{
    static const char store[] = "store_imm_u8 [0x1001], 7\necalli 0";
    const struct kernel_mapping low_last[] = {mapping(8192, 4096, 6),
                                              mapping(4096, 4096, 6)};
    const struct kernel_mapping beyond[] = {mapping(4096, 4096, 6),
                                            mapping(8192, 65536, 6)};
    struct kernel_image_parts more = {.mapping = low_last, .mapping_count = 2};
    struct fixture f;
    (void)unused;
    create(&f, 1000, engine);
    struct kernel_instance_parts parts = {.mem_size = 12288};
    /* H-18: a hash that names no cap. */
    const struct kernel_entry bare = {3, kernel_id("oog_marker")};
    struct hash256 cnode = put_slots(&f, &bare, 1);
    /* S-20 */
    struct kernel_cap cap =
        settled(&f, put_parts(&f, put_program(&f, store, NULL), cnode, parts));
    assert_int_equal(cap.instance.mem_size, 0);
    assert_int_equal(cap.instance.overlay_count, 0);
    same(cap.instance.root_cnode, cnode);
    /* S-21 */
    cap = settled(&f, put_parts(&f, put_program(&f, store, &more), cnode, parts));
    assert_int_equal(cap.instance.mem_size, 8192);
    assert_int_equal(cap.instance.overlay_count, 2);
    struct kernel_overlay overlay = kernel_instance_overlay(&cap.instance, 1);
    assert_int_equal(overlay.start, 4096);
    assert_true(overlay.bytes.size == 4096 && overlay.bytes.data[1] == 7);
    /* S-22 */
    more.mapping = beyond;
    cap = settled(&f, put_parts(&f, put_program(&f, store, &more), cnode, parts));
    assert_int_equal(cap.instance.overlay_count, 1);
    assert_int_equal(cap.instance.mem_size, 8192 + 65536);
    stop(&f);
}

/* S-24, S-25 */
static void test_build(void **unused)
{
    static const char pause[] = "load_imm a0, 8\necalli 16"; /* traps: look at F */
    static uint8_t a[4096], b[4096];
    struct kernel_endpoint endpoint = {.reg = {[3] = 9, [4] = 7}};
    const struct kernel_image_parts more = {.endpoint = &endpoint, .endpoint_count = 1};
    const struct kernel_overlay overlay[] = {{0, bytes_of(a, sizeof a)},
                                             {0, bytes_of(b, 3)}};
    struct fixture f;
    (void)unused;
    memset(a, 0xaa, sizeof a);
    memset(b, 0xbb, sizeof b);
    create(&f, 1000, engine);
    struct kernel_instance_parts parts = {.overlay = overlay, .overlay_count = 2};
    parts.reg[3] = 5;
    parts.reg[7] = 1;
    struct hash256 instance =
        put_parts(&f, put_program(&f, pause, &more), put_slots(&f, NULL, 0), parts);
    const struct slot target = slot_of_hash(&instance);
    static const uint64_t args[4] = {0, 0, 0, 0};
    struct frame *frame;
    assert_int_equal(kernel_build(f.k, &target, 0, args, &frame), KERNEL_ERROR_None);
    kernel_push_built(f.k, frame);
    assert_int_equal(frame->state.reg[3], 5);
    assert_int_equal(frame->state.reg[4], 7);
    assert_int_equal(frame->state.reg[7], 0);
    const uint8_t *page = pvm_mem_page(frame->state.mem, 0);
    assert_true(page[0] == 0xbb && page[2] == 0xbb && page[3] == 0 && page[4095] == 0);
    assert_null(pvm_mem_page(frame->state.mem, 1));
    stop(&f);
}

/* A stop from outside is no result of the guest. */
static bool stop_now(void *self)
{
    (void)self;
    return true;
}

static void test_interrupt(void **unused)
{
    static const uint64_t args[4] = {0, 0, 0, 0};
    struct fixture f;
    struct kernel_result result;
    (void)unused;
    create(&f, 1000, engine);
    struct hash256 instance = plain(&f, "loop:\njump loop", NULL, 0);
    f.k->host.interrupted = stop_now;
    assert_int_equal(kernel_invoke(f.k, &instance, 0, args, UINT64_MAX, &result),
                     ERR_interrupted);
    stop(&f);
}

static int with_interp(void **unused)
{
    (void)unused;
    engine = KERNEL_ENGINE_INTERP;
    return 0;
}

static int with_recomp(void **unused)
{
    (void)unused;
    engine = KERNEL_ENGINE_RECOMP; /* the interpreter, where there is none */
    return 0;
}

/* A test on both engines. */
#define both(test)                                                                     \
    cmocka_unit_test_setup(test, with_interp), cmocka_unit_test_setup(test, with_recomp)

int main(void)
{
    const struct CMUnitTest tests[] = {
        both(test_slot0),   both(test_faults),    both(test_memory),  both(test_spaces),
        both(test_history), both(test_yield),     both(test_nearest), both(test_settle),
        both(test_build),   both(test_interrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
