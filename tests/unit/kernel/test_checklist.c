/* SPDX-License-Identifier: MIT
 *
 * Lines of the specification's checklist (pvm-kernel.md 11) that no other test has, by
 * their ids, against the hashes of its vectors.  docs/kernel.md says where the others
 * are.
 */
#include "tests/unit/kernel/programs.h"
#include "tests/unit/nub/kat.h"

#define GAS 1000000u

static enum kernel_engine engine;

static struct hash256 known(const char *name)
{
    return kat_hash(kat_text(kat_vector(name), "expected"));
}

#define same(a, b) assert_memory_equal((a).byte, (b).byte, HASH256_SIZE)

/* ---- 11.1 ---- */

static void test_dispatch(void **unused)
{
    struct fixture f;
    (void)unused;
    start(&f, true);
    struct pvm_state *s = &top(&f)->state;
    /* B-09: a plain ecall, whose number the engine takes from phi11. */
    s->reg[7] = 2;
    s->reg[11] = 3;
    assert_int_equal(kernel_dispatch(f.k, s, PVM_EXIT_ECALL, 3, 0, &last),
                     PVM_ANSWER_CONTINUE);
    assert_false(top(&f)->cnode.slot[2].used);
    /* B-10 */
    struct slots before = top(&f)->cnode;
    expect(&f, None, 999, 2, 7, 0, 0);
    assert_memory_equal(&before, &top(&f)->cnode, sizeof before);
    assert_int_equal(s->reg[7], 2);
    stop(&f);
}

static void test_images(void **unused)
{
    struct fixture f;
    (void)unused;
    start(&f, false); /* B-12 */
    struct hash256 image = put_image(&f, 64, NULL, 0), cnode;
    same(image, known("image_ecalli0"));
    set(&f, 3, image);
    expect(&f, None, 17, 3, 0, 0, 0);
    assert_int_equal(last.exit, PVM_EXIT_HOST_CALL);
    assert_int_equal(last.arg, 17);
    same(top(&f)->image_hash, image);
    same(top(&f)->chain, known("chain_01_ecalli0"));
    assert_int_equal(top(&f)->program->code.code.size, 2);
    assert_memory_equal(top(&f)->program->code.code.data, "\x0a\0", 2);
    stop(&f);

    start(&f, false); /* B-22 */
    set(&f, 3, put_image(&f, 64, NULL, 0));
    cnode = put_cnode(&f, 4);
    set(&f, 4, cnode);
    top(&f)->chain = filled(0xc1);
    expect(&f, None, 18, 3, 4, 7, 0);
    assert_true(holds(&f, 7, known("spawn_child_c1_ecalli0")));
    struct kernel_cap child = cap_at(&f, known("spawn_child_c1_ecalli0"));
    same(child.instance.chain, known("chain_c1_ecalli0"));
    same(child.instance.root_cnode, cnode);
    assert_false(top(&f)->cnode.slot[4].used);
    stop(&f);
}

static void test_data(void **unused)
{
    struct fixture f;
    uint64_t value;
    (void)unused;
    start(&f, false); /* B-17 */
    map_memory(&f);
    assert_int_equal(kernel_quota_seed(f.k, 0, 8192, &value), KERNEL_STATUS_OK);
    assert_int_equal(pvm_mem_write(top(&f)->state.mem, 32, "abc\0", 5, NULL), ERR_ok);
    expect(&f, None, 23, 32, 5, 0, 6);
    assert_true(holds(&f, 6, known("data_inline_abc00")));
    assert_int_equal(kernel_quota(f.k, 0), 4096);
    (void)cap_at(&f, known("data_inline_abc00"));
    /* B-19 */
    set(&f, 3, put_data(&f, "stored", 1));
    expect(&f, None, 25, 3, 0, 0, 0);
    assert_int_equal(top(&f)->state.reg[7], 1);
    assert_int_equal(kernel_quota(f.k, 0), 0);
    same(*kernel_file(f.k, 1), known("data_inline_stored"));
    /* B-18, E-31: the next id. */
    struct hash256 file = put_data(&f, "file", 1);
    same(file, known("data_inline_file"));
    assert_int_equal(kernel_file_seed(f.k, 9, &file, &value), KERNEL_STATUS_OK);
    assert_int_equal(value, 10);
    expect(&f, None, 24, 9, 6, 0, 0);
    assert_true(holds(&f, 6, file));
    assert_int_equal(kernel_quota_seed(f.k, 0, 4096, &value), KERNEL_STATUS_OK);
    expect(&f, None, 25, 3, 0, 0, 0);
    assert_int_equal(top(&f)->state.reg[7], 10);
    assert_int_equal(f.k->assist.file_next, 11);
    stop(&f);
}

static void test_call(void **unused)
{
    struct fixture f;
    (void)unused;
    start(&f, false); /* B-23 */
    struct hash256 image = put_image(&f, 64, NULL, 0);
    set(&f, 9, put_instance(&f, filled(0xcc), image, put_cnode(&f, 4)));
    assert_true(holds(&f, 9, known("host_call_child_cc")));
    set(&f, 0, filled(0xab));
    expect(&f, None, 26, 9, 0, 0, 0);
    assert_int_equal(last.exit, PVM_EXIT_HOST_CALL);
    assert_int_equal(kernel_stack_size(f.k), 2);
    struct buf dump;
    buf_init(&dump, 1 << 16);
    kernel_state_dump(f.k, &dump);
    const uint8_t *entry = dump.data + dump.size - 2 * 256;
    assert_int_equal(kernel_u32(entry + 4), 1); /* waiting */
    assert_int_equal(kernel_u32(entry + 256 + 4), 0);
    assert_int_equal(kernel_u32(entry + 256 + 12), 9); /* the call slot */
    buf_fini(&dump);
    assert_true(holds(&f, 0, filled(0xab)));
    assert_false(f.k->stack[0].cnode.slot[0].used);
    /* S-27 */
    assert_int_equal(kernel_push_reference(f.k, 0), KERNEL_ERROR_None);
    f.k->config.max_depth = 4;
    assert_int_equal(kernel_push_reference(f.k, 2), KERNEL_ERROR_ReferenceNonInstance);
    assert_int_equal(kernel_push_reference(f.k, 3), KERNEL_ERROR_ReferenceOutOfRange);
    f.k->config.max_depth = 3;
    stop(&f);
}

/* ---- 11.2 ---- */

static enum kernel_status put_status(struct fixture *f, const struct buf *wire)
{
    struct hash256 hash;
    uint32_t count = kernel_cap_count(f->k);
    enum kernel_status status = kernel_put(f->k, buf_bytes(wire), &hash);
    if (status)
        assert_int_equal(kernel_cap_count(f->k), count);
    return status;
}

static enum kernel_status put_parts_status(struct fixture *f,
                                           const struct hash256 *image,
                                           const struct hash256 *cnode)
{
    const struct hash256 chain = filled(0x77);
    struct buf wire;
    buf_init(&wire, 1 << 10);
    kernel_encode_instance(&(struct kernel_instance_parts){.chain = &chain,
                                                           .image = image,
                                                           .root_cnode = cnode},
                           &wire);
    enum kernel_status status = put_status(f, &wire);
    buf_fini(&wire);
    return status;
}

static enum kernel_status put_endpoints(struct fixture *f, uint32_t count)
{
    static const struct kernel_endpoint endpoint[65];
    const struct pvm_code code = {.code = bytes_of("\x0a\0", 2),
                                  .bitmask = (const uint8_t *)"\1"};
    struct buf wire;
    buf_init(&wire, 1 << 16);
    kernel_encode_image(&(struct kernel_image_parts){.code = &code,
                                                     .endpoint = endpoint,
                                                     .endpoint_count = count},
                        &wire);
    enum kernel_status status = put_status(f, &wire);
    buf_fini(&wire);
    return status;
}

static void test_directory(void **unused)
{
    struct fixture f;
    (void)unused;
    start(&f, false);
    set(&f, 2, filled(0xee)); /* H-01 */
    set(&f, 7, filled(0xff));
    expect(&f, None, 3, 7, 0, 0, 0);
    same(kernel_slots_hash(f.k, &top(&f)->cnode), known("cnode_log4_2ee"));
    /* H-13 */
    struct hash256 type = put_type(&f, 1), image = put_image(&f, 1, NULL, 0);
    struct hash256 cnode = put_cnode(&f, 4), none = filled(3);
    assert_int_equal(put_parts_status(&f, &type, &cnode), KERNEL_STATUS_CHILD_KIND);
    assert_int_equal(put_parts_status(&f, &image, &image), KERNEL_STATUS_CHILD_KIND);
    assert_int_equal(put_parts_status(&f, &none, &cnode), KERNEL_STATUS_CHILD_MISSING);
    assert_int_equal(put_parts_status(&f, &image, &none), KERNEL_STATUS_CHILD_MISSING);
    assert_int_equal(put_parts_status(&f, &image, &cnode), KERNEL_STATUS_OK);
    /* H-14 */
    assert_int_equal(put_endpoints(&f, 64), KERNEL_STATUS_OK);
    assert_int_equal(put_endpoints(&f, 65), KERNEL_STATUS_LIMIT);
    stop(&f);
}

/* ---- 11.3 ---- */

static void test_memory(void **unused)
{
    struct fixture f;
    uint64_t value;
    (void)unused;
    start(&f, false);
    map_memory(&f);
    struct pvm_mem *mem = top(&f)->state.mem;
    set(&f, 3, put_data(&f, "hello", 2));
    assert_int_equal(pvm_mem_write(mem, 0, "before", 6, NULL), ERR_ok);
    /* E-22: into the last page and beyond; into a page that is read only. */
    struct hash256 digest = kernel_mem_digest(f.k, top(&f));
    expect(&f, MemoryFault, 22, 3, PVM_PAGE_SIZE, 4097, 0);
    same(kernel_mem_digest(f.k, top(&f)), digest);
    assert_int_equal(pvm_mem_protect(mem, PVM_PAGE_SIZE, PVM_PAGE_SIZE, PVM_ACCESS_R),
                     ERR_ok);
    digest = kernel_mem_digest(f.k, top(&f));
    expect(&f, MemoryFault, 22, 3, 0, 8192, 0);
    same(kernel_mem_digest(f.k, top(&f)), digest);
    /* E-24 */
    assert_int_equal(kernel_quota_seed(f.k, 0, 4095, &value), KERNEL_STATUS_OK);
    expect(&f, QuotaExhausted, 23, 0xffffffff, 0, 0, 6);
    assert_int_equal(kernel_quota_seed(f.k, 0, 4096, &value), KERNEL_STATUS_OK);
    expect(&f, None, 23, 0xffffffff, 0, 0, 6);
    assert_true(holds(&f, 6, known("data_inline_empty")));
    assert_int_equal(kernel_quota(f.k, 0), 0);
    /* E-25 */
    assert_int_equal(kernel_quota_seed(f.k, 0, 8191, &value), KERNEL_STATUS_OK);
    expect(&f, QuotaExhausted, 23, 0, 4097, 0, 6);
    assert_int_equal(kernel_quota_seed(f.k, 0, 8192, &value), KERNEL_STATUS_OK);
    /* E-26, E-27 before anything is spent */
    uint32_t count = kernel_cap_count(f.k);
    expect(&f, MemoryFault, 23, 2 * PVM_PAGE_SIZE, 1, 0, 6);
    expect(&f, MemoryFault, 23, 0xffffffff, 2, 0, 6);
    top(&f)->pinned[1] = true;
    expect(&f, SlotPinned, 23, 0, 1, 0, 1);
    assert_int_equal(kernel_cap_count(f.k), count);
    assert_int_equal(kernel_quota(f.k, 0), 8192);
    expect(&f, None, 23, 0, 4097, 0, 6);
    assert_int_equal(kernel_quota(f.k, 0), 0);
    stop(&f);
}

/* E-33: what the image maps from a pinned slot is read, and not written. */
static void test_pinned_mapping(void **unused)
{
    static const char text[] = "load_u8 a1, [0x1000]\nadd_imm_64 a0, a0, 1\n"
                               "store_u8 a1, [0x2000]\nstore_u8 a1, [0x1008]\necalli 0";
    const struct kernel_mapping map[] = {
        {.start = 4096, .size = 4096, .path = {6}, .path_size = 1},
        {.start = 8192, .size = 4096, .path = {7}, .path_size = 1}};
    struct fixture f;
    (void)unused;
    create(&f, 1000, engine);
    const struct kernel_entry pinned = {6, put_data(&f, "pinned", 1)};
    struct hash256 image = put_program(
        &f, text,
        &(struct kernel_image_parts){
            .mapping = map, .mapping_count = 2, .pinned = &pinned, .pinned_count = 1});
    struct hash256 instance =
        put_parts(&f, image, put_slots(&f, &pinned, 1),
                  (struct kernel_instance_parts){.mem_size = 12288});
    assert_int_equal(invoke(&f, instance, GAS), KERNEL_EXIT_PAGE_FAULT);
    const struct kernel_outcome *o = kernel_last_outcome(f.k);
    assert_int_equal(o->result.exit_arg, 4096);
    assert_int_equal(o->reg[7], 1); /* the load went well */
    stop(&f);
}

/* ---- 11.4 ---- */

/* S-23: what an invocation leaves, to the last counter. */
static void test_settled(void **unused)
{
    const struct kernel_mapping two[] = {
        {.start = 0, .size = 4096, .path = {1}, .path_size = 1},
        {.start = 4096, .size = 4096, .path = {2}, .path_size = 1}};
    const struct pvm_code code = {.code = bytes_of("\x0a\0", 2),
                                  .bitmask = (const uint8_t *)"\1"};
    struct fixture f;
    (void)unused;
    start(&f, false);
    f.k->config.engine = engine;
    const struct kernel_entry initial = {1, put_data(&f, "hello", 1)},
                              pinned = {2, put_data(&f, "\1\2\3\4\5\6\7\x08", 1)};
    set(&f, 3,
        put_program(&f, "ecalli 0",
                    &(struct kernel_image_parts){.code = &code,
                                                 .mapping = two,
                                                 .mapping_count = 2,
                                                 .pinned = &pinned,
                                                 .pinned_count = 1,
                                                 .initial = &initial,
                                                 .initial_count = 1}));
    set(&f, 4, put_cnode(&f, 4));
    expect(&f, None, 18, 3, 4, 7, 0);
    struct hash256 instance = top(&f)->cnode.slot[7].hash;
    same(instance, known("spawn_mapped_instance"));
    (void)kernel_pop(f.k);
    assert_int_equal(invoke(&f, instance, GAS), KERNEL_EXIT_HALT);
    uint64_t used = kernel_last_outcome(f.k)->gas_used;
    assert_int_equal(invoke(&f, instance, 903 + used), KERNEL_EXIT_HALT);
    same(kernel_last_outcome(f.k)->post_instance, known("spawn_mapped_settled_gas903"));
    /* S-28: budgets with the highest bit. */
    const uint64_t top_bit = (uint64_t)1 << 63;
    assert_int_equal(invoke(&f, instance, top_bit), KERNEL_EXIT_HALT);
    assert_int_equal(kernel_last_outcome(f.k)->result.gas_remaining, top_bit - used);
    assert_int_equal(invoke(&f, instance, UINT64_MAX), KERNEL_EXIT_HALT);
    assert_int_equal(kernel_last_outcome(f.k)->result.gas_remaining, UINT64_MAX - used);
    stop(&f);
}

/* ---- 11.5 ---- */

/* R-12, the tables that a client cannot ask for one by one. */
static void test_reset_block(void **unused)
{
    struct fixture f;
    struct hash256 catcher, marker = filled(5);
    uint64_t value;
    uint32_t count;
    (void)unused;
    create(&f, 10, KERNEL_ENGINE_INTERP);
    assert_int_equal(kernel_quota_seed(f.k, 1, 2, &value), KERNEL_STATUS_OK);
    assert_int_equal(kernel_meter_seed(f.k, 1, 3, &value), KERNEL_STATUS_OK);
    assert_int_equal(kernel_file_seed(f.k, 4, &marker, &value), KERNEL_STATUS_OK);
    assert_int_equal(kernel_catcher_new(f.k, &catcher), KERNEL_STATUS_OK);
    assert_int_equal(kernel_catcher_add(f.k, &catcher, &marker, &count),
                     KERNEL_STATUS_OK);
    kernel_block_reset(f.k);
    assert_int_equal(f.k->assist.quota_count, 0);
    assert_int_equal(f.k->assist.meter_count, 0);
    assert_int_equal(f.k->assist.catcher_count, 0);
    assert_int_equal(f.k->assist.marker_count, 0);
    same(*kernel_file(f.k, 4), marker);
    assert_int_equal(f.k->assist.file_next, 5);
    assert_int_equal(f.k->assist.catcher_nonce, 1);
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
        cmocka_unit_test(test_dispatch),    cmocka_unit_test(test_images),
        cmocka_unit_test(test_data),        cmocka_unit_test(test_call),
        cmocka_unit_test(test_directory),   cmocka_unit_test(test_memory),
        both(test_pinned_mapping),          both(test_settled),
        cmocka_unit_test(test_reset_block),
    };
    return cmocka_run_group_tests(tests, kat_open, kat_close);
}
