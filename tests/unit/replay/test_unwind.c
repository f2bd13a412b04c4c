/* SPDX-License-Identifier: MIT
 *
 * The callers of a function, seen from any place in it, are those that have called:
 * programs of the corpus, which have no frame tables, are stepped through while a
 * second stack is kept of their calls and returns.
 */
#include "replay/debug.h"
#include "replay/timeline.h"
#include "replay/unwind.h"
#include "tests/unit/replay/run.h"

#include <string.h>

enum { DEPTH_MAX = 200, FRAME_MAX = DEPTH_MAX + 1, A0 = 7 };

struct call {
    uint64_t pc, sp; /* behind it */
    uint64_t entry;  /* that it leads to; 0: the code does not say */
};

static struct replay_debug debug;
static struct call stack[DEPTH_MAX];
static size_t depth, frames_seen, entries_seen, places;

static uint64_t register_of(const char *name)
{
    const struct replay_guest_ops *ops = debug.guest.ops;
    uint8_t bytes[8];
    uint64_t value = 0;
    unsigned i = 0;
    while (strcmp(ops->reg[i].name, name) != 0)
        i++;
    ops->register_get(debug.guest.self, i, bytes);
    for (unsigned k = 8; k-- > 0;)
        value = value << 8 | bytes[k];
    return value;
}

/* What the guest shows here, against the second stack. */
static void check_here(void)
{
    struct replay_frame frame[FRAME_MAX];
    size_t count = debug.guest.ops->frames(debug.guest.self, frame, FRAME_MAX);
    if (count != depth + 1)
        fail_msg("pc 0x%llx icount %llu: %zu frames, not %zu",
                 (unsigned long long)register_of("pc"),
                 (unsigned long long)debug.guest.ops->time(debug.guest.self).icount,
                 count, depth + 1);
    assert_int_equal(frame[0].pc, register_of("pc"));
    for (size_t i = 1; i < count; i++) {
        if (frame[i].pc != stack[depth - i].pc)
            fail_msg("pc 0x%llx: from 0x%llx to 0x%llx, not 0x%llx",
                     (unsigned long long)register_of("pc"),
                     (unsigned long long)frame[i - 1].pc,
                     (unsigned long long)frame[i].pc,
                     (unsigned long long)stack[depth - i].pc);
        assert_int_equal(frame[i].sp, stack[depth - i].sp);
        assert_int_equal(frame[i - 1].entry, stack[depth - i].entry);
        entries_seen += frame[i - 1].entry != 0;
    }
    frames_seen += count;
    places++;
}

/* Look at the instruction at pc before it is run. */
static void follow_calls(const struct pvm_program *program)
{
    const struct pvm_code *code = pvm_program_code(program);
    uint64_t base = debug.guest.ops->code_base;
    struct pvm_insn insn;
    uint64_t pc = register_of("pc");
    assert_true(pvm_insn_decode(code, pvm_program_config(program)->profile,
                                (uint32_t)(pc - base), &insn));
    if (insn.op == PVM_OP_load_imm_jump || insn.op == PVM_OP_load_imm_jump_ind) {
        assert_true(depth < DEPTH_MAX);
        uint32_t index = (uint32_t)insn.x / 2 - 1;
        stack[depth++] = (struct call){
            base + pvm_code_jump(code, index), register_of("sp"),
            insn.op == PVM_OP_load_imm_jump ? base + (uint64_t)insn.target : 0};
    } else if (insn.op == PVM_OP_jump_ind && insn.a == 0 && !insn.x) {
        assert_true(depth > 0);
        depth--;
    }
}

/* Step through up to `limit` instructions, and look at each `every`th place. */
static void walk(const char *name, uint64_t n, uint64_t limit, unsigned every)
{
    struct arena arena;
    struct recording recording;
    struct script script = {.input = "a = 17\nb = a * 3 - 4\nprint (a + b) / 7\n",
                            .piece = 7};
    char message[REPLAY_DEBUG_MESSAGE_SIZE];
    struct replay_stop stop;
    arena_init(&arena, (size_t)1 << 28);
    struct replay_setup setup = setup_program(&arena, name, NULL, 0);
    struct replay_host host = script_host(&script);
    setup.gas = 100000000;
    if (n)
        setup.reg[A0] = n;
    record(&recording, &setup, &host, false);
    struct bytes file = recording_bytes(&recording);
    struct trace_source source = trace_bytes_source(&file);
    if (replay_debug_open(&source, &debug, message))
        fail_msg("%s", message);
    const struct replay_guest *guest = &debug.guest;
    depth = 0;
    for (uint64_t i = 0; i < limit && i + 1 < guest->end.icount && depth < DEPTH_MAX;
         i++) {
        if (i % every == 0)
            check_here();
        follow_calls(guest->ops->program(guest->self));
        const struct replay_until until = {.time = {.icount = i + 1},
                                           .gas = UINT64_MAX};
        assert_int_equal(guest->ops->run(guest->self, &until, &stop), ERR_ok);
    }
    print_message("%s: %zu frames at %zu places\n", name, frames_seen, places);
    assert_true(places > 50);
    frames_seen = places = 0;
    replay_debug_close(&debug);
    recording_fini(&recording);
    buf_fini(&script.output);
    arena_fini(&arena);
}

static void callers_of_recursion(void **state)
{
    (void)state;
    walk("fib", 12, 8000, 1);
    walk("qsort", 1000, 40000, 9);
    assert_true(entries_seen > 1000);
}

static void callers_in_other_programs(void **state)
{
    (void)state;
    static const char *const bench[] = {"sha256", "lz", "mixed", "interp", "ed25519"};
    static const char *const program[] = {"calc", "life", "features"};
    for (size_t i = 0; i < sizeof bench / sizeof bench[0]; i++)
        walk(bench[i], 2, 30000, 7);
    for (size_t i = 0; i < sizeof program / sizeof program[0]; i++)
        walk(program[i], 0, 30000, 7);
}

/* A program that is all jumps and calls, and leads nowhere: the search ends. */
static void endless_ways_end(void **state)
{
    (void)state;
    struct arena arena;
    struct pvm_code code;
    struct pvm_state at = {.pc = 0};
    struct replay_unwind u;
    struct buf text;
    buf_init(&text, 1 << 20);
    for (unsigned i = 0; i < 3000; i++)
        buf_printf(&text, "branch_eq a0, a1, @0\n");
    buf_text(&text, "jump @0\n");
    arena_init(&arena, (size_t)1 << 26);
    struct bytes blob = assemble(&arena, buf_string(&text));
    assert_int_equal(pvm_code_parse(blob, &code), ERR_ok);
    replay_unwind_begin(&u, &code, PVM_PROFILE_JAVM, &at);
    assert_false(replay_unwind_next(&u));
    assert_int_equal(u.pc, 0);
    arena_fini(&arena);
    buf_fini(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_of_recursion),
        cmocka_unit_test(callers_in_other_programs),
        cmocka_unit_test(endless_ways_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
