/* SPDX-License-Identifier: MIT
 *
 * oracle32 - runs single instructions on the host's processor in 32-bit mode.
 *
 * A freestanding program: it reads requests (case.h) from its input, runs their cases
 * and answers with a digest or with all results.  Faults become results through signal
 * handlers on a stack of their own.
 *
 * Cases that run in single steps live in the handler: each signal brings the result of
 * one case, and the return from it starts the next one, with whatever segments.
 */
#include "tests/diff/oracle32/case.h"

#include <stdbool.h>

enum { SYS_EXIT = 1, SYS_READ = 3, SYS_WRITE = 4 };
enum { SYS_SETITIMER = 104, SYS_MODIFY_LDT = 123, SYS_RT_SIGACTION = 174 };
enum { SYS_SIGALTSTACK = 186, SYS_MMAP2 = 192 };
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

void *memcpy(void *to, const void *from, unsigned long size);
void *memcpy(void *to, const void *from, unsigned long size)
{
    void *at = to;
    __asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(size)::"memory");
    return to;
}

void *memset(void *to, int value, unsigned long size);
void *memset(void *to, int value, unsigned long size)
{
    void *at = to;
    __asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(value) : "memory");
    return to;
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
static uint8_t any_pool[CASE_POOL_SIZE], far_pool[CASE_POOL_SIZE];

/* The request that runs in single steps. */
static struct {
    const struct case_request *request; /* NULL: none */
    struct context saved;               /* of the instruction that began it */
    bool running;
    uint32_t left;
    uint64_t seed, digest;
} step;

static const uint8_t *pool_of(const struct case_request *request)
{
    return request->how & CASE_FAR ? far_pool : any_pool;
}

/* What the processor was in when the signal came. */
static void collect(const struct context *c, uint32_t flags_mask)
{
    const uint32_t regs[] = {c->eax, c->ecx, c->edx, c->ebx,
                             c->esp, c->ebp, c->esi, c->edi};
    for (unsigned i = 0; i < 8; i++)
        out.reg[i] = regs[i];
    out.flags = c->eflags & flags_mask;
    out.vector = c->trapno;
    out.error = c->trapno == 14 ? c->err & 7 : c->err; /* without NX */
    out.address = c->trapno == 14 ? c->cr2 : 0;
}

static void answer_case(void)
{
    case_loosen(step.request, &out, (uint8_t *)CASE_AREA);
    step.digest = case_digest(step.digest, &out, (uint8_t *)CASE_AREA);
    if (step.request->kind == CASE_RESULTS) {
        transfer(SYS_WRITE, &out, sizeof out);
        transfer(SYS_WRITE, (void *)CASE_AREA, CASE_AREA_SIZE);
    }
}

/* The next case into the context that the signal returns to. */
static void start_case(struct context *c)
{
    case_make(step.request, &step.seed, pool_of(step.request), &in,
              (uint8_t *)CASE_AREA);
    c->eax = in.reg[0], c->ecx = in.reg[1], c->edx = in.reg[2], c->ebx = in.reg[3];
    c->esp = in.reg[4], c->ebp = in.reg[5], c->esi = in.reg[6], c->edi = in.reg[7];
    c->es = in.segment[0], c->cs = in.segment[1], c->ss = in.segment[2];
    c->ds = in.segment[3], c->fs = in.segment[4], c->gs = in.segment[5];
    c->eip = case_code(step.request);
    c->eflags = in.flags | 0x202;
}

static void on_step(struct context *c)
{
    if (step.running) {
        collect(c, CASE_FLAGS_STEP);
        out.eip = c->eip;
        const uint32_t segments[] = {c->es, c->cs, c->ss, c->ds, c->fs, c->gs};
        for (unsigned i = 0; i < 6; i++)
            out.segment[i] = (uint16_t)segments[i];
        answer_case();
    } else {
        step.running = true;
        step.saved = *c;
        step.saved.eip += 2; /* behind the UD2 */
    }
    if (step.left == 0) {
        uint32_t fpstate = c->fpstate;
        *c = step.saved;
        c->fpstate = fpstate;
        step.request = 0;
    } else {
        step.left--;
        start_case(c);
    }
}

static void on_signal(int number, void *info, struct user_context *user)
{
    struct context *c = &user->registers;
    (void)number, (void)info;
    /* AC may be set still. */
    __asm__ volatile("pushl $2\n\tpopfl" ::: "cc", "memory");
    if (step.request) {
        on_step(c);
        return;
    }
    if (c->eip < CASE_CODE || c->eip >= CASE_CODE + 0x1000)
        leave(3);
    collect(c, CASE_FLAGS);
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
        uint32_t flags;
        uint32_t size;
    } alternate = {stack, 0x80000000, sizeof stack}; /* AUTODISARM: whatever ESP is */
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

static void serve_calls(const struct case_request *request)
{
    uint64_t seed = request->seed, digest = 0;
    uint8_t *area = (uint8_t *)CASE_AREA;
    void (*run)(void) = build(request);
    for (uint32_t i = 0; i < request->count; i++) {
        case_make(request, &seed, pool_of(request), &in, area);
        out = in;
        in.flags |= 0x202;
        run();
        out.flags &= CASE_FLAGS;
        case_loosen(request, &out, area);
        digest = case_digest(digest, &out, area);
        if (request->kind == CASE_RESULTS) {
            transfer(SYS_WRITE, &out, sizeof out);
            transfer(SYS_WRITE, area, CASE_AREA_SIZE);
        }
    }
    if (request->kind == CASE_DIGEST)
        transfer(SYS_WRITE, &digest, sizeof digest);
}

/* A jump to itself ends the program; the other side starts it again. */
static void watch(bool on)
{
    const struct {
        long interval[2], value[2];
    } timer = {{0, 0}, {0, on ? 400000 : 0}};
    (void)system_call(SYS_SETITIMER, 1, (long)&timer, 0, 0, 0, 0);
}

static void serve_steps(const struct case_request *request)
{
    uint8_t *code = (uint8_t *)CASE_CODE;
    memset(code, CASE_FILL(request->how), 0x1000);
    memcpy(code + CASE_OFFSET(request->how), request->code, request->length);
    step.request = request;
    step.running = false;
    step.left = request->count;
    step.seed = request->seed;
    step.digest = 0;
    watch(true);
    __asm__ volatile("pushl $2\n\tpopfl\n\tud2" ::: "cc", "memory");
    watch(false);
    if (request->kind == CASE_DIGEST)
        transfer(SYS_WRITE, &step.digest, sizeof step.digest);
}

/* The segments of case.h; zero if Linux lets us have them. */
static uint32_t make_ldt(void)
{
    for (unsigned i = 0; i < CASE_LDT_COUNT; i++) {
        const struct case_descriptor *d = &case_ldt[i];
        const uint32_t entry[4] = {i, d->base, d->limit,
                                   (d->flags & CASE_LDT_32) | d->contents << 1 |
                                       (d->flags & CASE_LDT_READ_ONLY ? 8u : 0) |
                                       (d->flags & CASE_LDT_PAGES ? 16u : 0) |
                                       (d->flags & CASE_LDT_ABSENT ? 32u : 0)};
        if (system_call(SYS_MODIFY_LDT, 0x11, (long)entry, sizeof entry, 0, 0, 0))
            return 1;
    }
    return 0;
}

void _start(void);
__attribute__((force_align_arg_pointer)) void _start(void)
{
    map(CASE_DATA, CASE_DATA_SIZE);
    map(CASE_CODE, 0x1000);
    catch_signals();
    case_make_pools(any_pool, far_pool);
    uint32_t no_ldt = make_ldt();
    for (;;) {
        struct case_request request;
        transfer(SYS_READ, &request, sizeof request);
        if (request.kind == CASE_QUIT)
            leave(0);
        memset((void *)CASE_DATA, CASE_AROUND, CASE_DATA_SIZE);
        if (request.kind == CASE_PING)
            transfer(SYS_WRITE, &no_ldt, sizeof no_ldt);
        else if (request.how & CASE_STEP)
            serve_steps(&request);
        else
            serve_calls(&request);
    }
}
