/* SPDX-License-Identifier: MIT
 *
 * oracle32 - runs single instructions on the host's processor in 32-bit mode.
 *
 * A freestanding program: it reads requests (case.h) from its input, runs their cases
 * and answers with a digest or with all results.  Faults become results through signal
 * handlers on a stack of their own.
 */
#include "tests/diff/oracle32/case.h"

enum { SYS_EXIT = 1, SYS_READ = 3, SYS_WRITE = 4 };
enum { SYS_RT_SIGACTION = 174, SYS_SIGALTSTACK = 186, SYS_MMAP2 = 192 };
enum { SIGILL_ = 4, SIGTRAP_ = 5, SIGBUS_ = 7, SIGFPE_ = 8, SIGSEGV_ = 11 };

static long system_call(long number, long a, long b, long c, long d, long e, long f)
{
    long result;
    /* Six arguments need EBP, which the compiler keeps for itself. */
    long args[] = {a, b, c, d, e, f}, *first = args;
    __asm__ volatile("push %%ebp\n\t"
                     "push %%ebx\n\t"
                     "mov (%1), %%ebx\n\t"
                     "mov 4(%1), %%ecx\n\t"
                     "mov 8(%1), %%edx\n\t"
                     "mov 16(%1), %%edi\n\t"
                     "mov 20(%1), %%ebp\n\t"
                     "mov 12(%1), %%esi\n\t"
                     "int $0x80\n\t"
                     "pop %%ebx\n\t"
                     "pop %%ebp"
                     : "=a"(result), "+S"(first)
                     : "0"(number)
                     : "ecx", "edx", "edi", "memory", "cc");
    return result;
}

static void leave(int status)
{
    for (;;)
        (void)system_call(SYS_EXIT, status, 0, 0, 0, 0, 0);
}

static void transfer(int call, void *data, uint32_t size)
{
    uint8_t *at = data;
    while (size) {
        long n = system_call(call, call == SYS_WRITE, (long)at, (long)size, 0, 0, 0);
        if (n <= 0)
            leave(n < 0);
        at += n;
        size -= (uint32_t)n;
    }
}

static void map(uint32_t address, uint32_t size)
{
    const long protection = 7, flags = 0x32; /* rwx; private, anonymous, fixed */
    if (system_call(SYS_MMAP2, (long)address, (long)size, protection, flags, -1, 0) !=
        (long)address)
        leave(2);
}

/* ---- signals ---- */

struct context { /* the kernel's struct sigcontext for i386 */
    uint32_t gs, fs, es, ds, edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t trapno, err, eip, cs, eflags, esp_at_signal, ss, fpstate, oldmask, cr2;
};

struct user_context {
    uint32_t flags, link, stack[3];
    struct context registers;
};

static struct case_state in, out;
static uint32_t saved_esp;
static uint32_t finish_address;

static void on_signal(int number, void *info, struct user_context *user)
{
    struct context *c = &user->registers;
    (void)number, (void)info;
    if (c->eip < CASE_CODE || c->eip >= CASE_CODE + 0x1000)
        leave(3);
    uint32_t regs[] = {c->eax, c->ecx, c->edx, c->ebx, c->esp, c->ebp, c->esi, c->edi};
    for (unsigned i = 0; i < 8; i++)
        out.reg[i] = regs[i];
    out.flags = c->eflags & CASE_FLAGS;
    out.vector = c->trapno;
    out.error = c->err;
    out.address = c->trapno == 14 ? c->cr2 : 0;
    c->esp = saved_esp;
    c->eip = finish_address;
    c->eflags &= ~(uint32_t)CASE_FLAGS;
}

__asm__(".globl restorer\nrestorer:\n\tmov $173, %eax\n\tint $0x80\n");
void restorer(void);

static void catch_signals(void)
{
    static uint8_t stack[65536];
    static const int numbers[] = {SIGILL_, SIGTRAP_, SIGBUS_, SIGFPE_, SIGSEGV_};
    struct {
        void *address;
        int flags;
        uint32_t size;
    } alternate = {stack, 0, sizeof stack};
    struct {
        void (*handler)(int, void *, struct user_context *);
        uint32_t flags;
        void (*restorer)(void);
        uint32_t mask[2];
    } action = {on_signal, 0x4c000004, restorer, {0, 0}}; /* SIGINFO ONSTACK NODEFER */
    (void)system_call(SYS_SIGALTSTACK, (long)&alternate, 0, 0, 0, 0, 0);
    for (unsigned i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        (void)system_call(SYS_RT_SIGACTION, numbers[i], (long)&action, 0, 8, 0, 0);
}

/* ---- the code around the instruction ---- */

static uint8_t *put(uint8_t *at, uint8_t byte)
{
    *at = byte;
    return at + 1;
}

static uint8_t *put_address(uint8_t *at, const void *address)
{
    uint32_t value = (uint32_t)(uintptr_t)address;
    for (unsigned i = 0; i < 4; i++)
        at = put(at, (uint8_t)(value >> (8 * i)));
    return at;
}

/* MOV between a register and memory; changes no flag. */
static uint8_t *put_move(uint8_t *at, uint8_t opcode, unsigned reg, const void *address)
{
    at = put(put(at, opcode), (uint8_t)(reg << 3 | 5));
    return put_address(at, address);
}

static void (*build(const struct case_request *request))(void)
{
    enum { LOAD = 0x8b, STORE = 0x89, ESP = 4 };
    uint8_t *at = (uint8_t *)CASE_CODE, *start;
    uint8_t *entry = at + 0x100;
    /* The instruction is at the start of the page, so that both sides agree on EIP. */
    for (unsigned i = 0; i < request->length; i++)
        at = put(at, request->code[i]);
    for (unsigned i = 0; i < 8; i++)
        at = put_move(at, STORE, i, &out.reg[i]);
    at = put_move(at, LOAD, ESP, &saved_esp);
    at = put(put(at, 0x9c), 0x8f); /* pushf; pop [flags] */
    at = put_address(put(at, 0x05), &out.flags);
    finish_address = (uint32_t)(uintptr_t)at;
    at = put(put(at, 0xfc), 0x61); /* cld; popa; ret */
    (void)put(at, 0xc3);
    at = start = entry;
    at = put_move(put(at, 0x60), STORE, ESP, &saved_esp); /* pusha */
    at = put(put(put(at, 0xff), 0x35), 0);                /* push [flags]; popf */
    at = put_address(at - 1, &in.flags);
    at = put(at, 0x9d);
    for (unsigned i = 0; i < 8; i++)
        at = put_move(at, LOAD, i, &in.reg[i]);
    uint32_t back = CASE_CODE - ((uint32_t)(uintptr_t)at + 5);
    at = put(at, 0xe9);
    for (unsigned i = 0; i < 4; i++)
        at = put(at, (uint8_t)(back >> (8 * i)));
    return (void (*)(void))(uintptr_t)start;
}

static void serve(const struct case_request *request)
{
    uint64_t seed = request->seed, digest = 0;
    uint8_t *area = (uint8_t *)CASE_AREA;
    void (*run)(void) = build(request);
    for (uint32_t i = 0; i < request->count; i++) {
        case_make(request, &seed, &in, area);
        out = in;
        in.flags |= 0x202;
        run();
        out.flags &= CASE_FLAGS;
        digest = case_digest(digest, &out, area);
        if (request->kind == CASE_RESULTS) {
            transfer(SYS_WRITE, &out, sizeof out);
            transfer(SYS_WRITE, area, CASE_AREA_SIZE);
        }
    }
    if (request->kind == CASE_DIGEST)
        transfer(SYS_WRITE, &digest, sizeof digest);
}

void _start(void);
__attribute__((force_align_arg_pointer)) void _start(void)
{
    map(CASE_DATA, CASE_DATA_SIZE);
    map(CASE_CODE, 0x1000);
    catch_signals();
    for (;;) {
        struct case_request request;
        transfer(SYS_READ, &request, sizeof request);
        if (request.kind == CASE_QUIT)
            leave(0);
        serve(&request);
    }
}
