/* SPDX-License-Identifier: MIT
 *
 * Code memory, protection, gs, CPU features, and the fault handlers.
 */
#define _GNU_SOURCE
#include "base/os_code.h"

#include "base/os.h"
#include "tests/test.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __x86_64__
static const bool have_native = true;
#else
static const bool have_native = false;
#endif

static void need_native(void)
{
    if (!have_native)
        skip();
}

/* ---- helpers ---- */

/* How the address is mapped, "r-xp"; "" if it is not. */
static const char *mapping_of(const void *address)
{
    static char access[8];
    FILE *file = fopen("/proc/self/maps", "r");
    char line[512];
    access[0] = 0;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        uintptr_t start, end;
        char text[8];
        if (sscanf(line, "%lx-%lx %4s", &start, &end, text) == 3 &&
            start <= (uintptr_t)address && (uintptr_t)address < end)
            memcpy(access, text, sizeof access);
    }
    (void)fclose(file);
    return access;
}

static unsigned count_mappings(void)
{
    FILE *file = fopen("/proc/self/maps", "r");
    unsigned count = 0;
    assert_non_null(file);
    for (int c; (c = fgetc(file)) != EOF;)
        count += c == '\n';
    (void)fclose(file);
    return count;
}

/* Native code with a fault in its first instruction, which has two bytes. */
static const uint8_t load[] = {0x8b, 0x07, 0xc3};      /* mov eax, [rdi]; ret */
static const uint8_t store[] = {0x89, 0x37, 0xc3};     /* mov [rdi], esi; ret */
static const uint8_t undefined[] = {0x0f, 0x0b, 0xc3}; /* ud2; ret */
static const uint8_t divide[] = {0xf7, 0xf6, 0xc3};    /* div esi; ret */
static const uint8_t answer[] = {0xb8, 42, 0, 0, 0, 0xc3};

typedef uint32_t native_fn(void *rdi, uint32_t esi);

static native_fn *as_function(const void *data)
{
    native_fn *fn;
    memcpy(&fn, &data, sizeof fn);
    return fn;
}

static struct os_code code_of(const uint8_t *bytes, size_t size)
{
    struct os_code code;
    assert_int_equal(os_code_create(65536, false, &code), ERR_ok);
    memcpy(code.data, bytes, size);
    assert_int_equal(os_code_seal(&code, size), ERR_ok);
    return code;
}

/* ---- CPU ---- */

static void test_features(void **unused)
{
    (void)unused;
    unsigned features = os_cpu_features();
#ifdef __x86_64__
    __builtin_cpu_init();
    assert_int_equal(!!(features & OS_CPU_BMI1), !!__builtin_cpu_supports("bmi"));
    assert_int_equal(!!(features & OS_CPU_BMI2), !!__builtin_cpu_supports("bmi2"));
    assert_int_equal(!!(features & OS_CPU_POPCNT), !!__builtin_cpu_supports("popcnt"));
    struct buf text;
    buf_init(&text, 1 << 20);
    assert_int_equal(os_file_read("/proc/cpuinfo", &text), ERR_ok);
    const char *line = strstr(buf_string(&text), "\nflags");
    assert_non_null(line);
    assert_int_equal(!!(features & OS_CPU_ADX), strstr(line, " adx ") != NULL);
    assert_int_equal(!!(features & OS_CPU_LZCNT), strstr(line, " abm ") != NULL);
    assert_int_equal(!!(features & OS_CPU_FSGSBASE),
                     strstr(line, " fsgsbase ") != NULL);
    buf_fini(&text);
#else
    assert_int_equal(features, 0);
#endif
}

static void *check_gs(void *base)
{
    uint32_t value = 0;
    for (unsigned i = 0; i < 1000; i++) {
        os_gs_base_set(base);
        assert_ptr_equal(os_gs_base_get(), base);
#ifdef __x86_64__
        __asm__ volatile("movl %%gs:4, %0" : "=r"(value));
#endif
        assert_int_equal(value, ((uint32_t *)base)[1]);
    }
    os_gs_base_set(NULL);
    return NULL;
}

static void test_gs(void **unused)
{
    (void)unused;
    need_native();
    uint32_t a[2] = {1, 2}, b[2] = {3, 4};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, check_gs, a), 0);
    (void)check_gs(b);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* ---- memory ---- */

static void test_code_private(void **unused)
{
    (void)unused;
    need_native();
    struct os_code code;
    assert_int_equal(os_code_create(3 * 4096 + 1, false, &code), ERR_ok);
    assert_int_equal(code.size, 4 * 4096);
    assert_int_equal(code.fd, -1);
    assert_true((uintptr_t)code.data + code.size <= (uintptr_t)1 << 31);
    assert_string_equal(mapping_of(code.data), "rw-p");
    memcpy(code.data, answer, sizeof answer);
    const uint8_t *data = code.data;
    assert_int_equal(os_code_seal(&code, sizeof answer), ERR_ok);
    assert_ptr_equal(code.data, data);
    assert_int_equal(code.size, 4096);
    assert_string_equal(mapping_of(data), "r-xp");
    assert_string_equal(mapping_of(data + 4096), "");
    assert_int_equal(as_function(data)(NULL, 0), 42);
    os_code_free(&code);
    os_code_free(&code);
    assert_string_equal(mapping_of(data), "");
}

static void test_code_shared(void **unused)
{
    (void)unused;
    need_native();
    struct os_code code;
    assert_int_equal(os_code_create(65536, true, &code), ERR_ok);
    assert_true((uintptr_t)code.data + code.size <= (uintptr_t)1 << 31);
    assert_string_equal(mapping_of(code.data), "rw-s");
    memcpy(code.data, answer, sizeof answer);
    assert_int_equal(os_code_seal(&code, sizeof answer), ERR_ok);
    assert_string_equal(mapping_of(code.data), "r--s");
    assert_memory_equal(code.data, answer, sizeof answer);
    /* Nobody writes to the object any more, by whatever way. */
    assert_int_equal(pwrite(code.fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(code.fd, 8192), -1);
    assert_ptr_equal(mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, code.fd, 0),
                     MAP_FAILED);
    assert_int_equal(mprotect(code.data, 4096, PROT_READ | PROT_WRITE), -1);
    void *view = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_SHARED, code.fd, 0);
    assert_ptr_not_equal(view, MAP_FAILED);
    assert_int_equal(as_function(view)(NULL, 0), 42);
    assert_int_equal(munmap(view, 4096), 0);
    int fd = code.fd;
    os_code_free(&code);
    assert_int_equal(lseek(fd, 0, SEEK_CUR), -1);
}

static void test_code_limits(void **unused)
{
    (void)unused;
    struct os_code code = {.size = 77};
    assert_int_equal(os_code_create(SIZE_MAX, false, &code), ERR_nomem);
    assert_int_equal(os_code_create(((size_t)1 << 31) + 1, true, &code), ERR_nomem);
    assert_int_equal(os_code_create(0, true, &code), ERR_nomem);
    assert_int_equal(code.size, 77); /* untouched on failure */
    struct os_code none = {0};
    os_code_free(&none);
}

/* ---- faults ---- */

/* Skips the two bytes of the instruction that failed; counts. */
struct skipper {
    const uint8_t *code;
    unsigned count;
    uint64_t address, rdi;
    bool on_stack; /* the handler ran on the thread's ordinary stack */
    char *frame;
};

static bool skip_fault(void *self, void *ucontext)
{
    struct skipper *skipper = self;
    char here;
    if (os_fault_ip(ucontext) != (uintptr_t)skipper->code)
        return false;
    skipper->count++;
    skipper->address = os_fault_address(ucontext);
    skipper->rdi = os_fault_register(ucontext, 7);
    ptrdiff_t distance = &here - skipper->frame;
    skipper->on_stack |= distance > -65536 && distance < 65536;
    os_fault_register_set(ucontext, 0, 1234);
    os_fault_ip_set(ucontext, os_fault_ip(ucontext) + 2);
    return true;
}

static void test_fault_kinds(void **unused)
{
    (void)unused;
    need_native();
    const struct {
        const uint8_t *bytes;
        bool is_access;
    } kinds[] = {{load, true}, {store, true}, {undefined, false}, {divide, false}};
    assert_int_equal(os_fault_stack_ensure(), ERR_ok);
    void *pages;
    assert_int_equal(os_reserve(8192, &pages), ERR_ok);
    assert_int_equal(os_protect(pages, 4096, OS_PROTECT_NONE), ERR_ok);
    for (unsigned i = 0; i < countof(kinds); i++) {
        struct os_code code = code_of(kinds[i].bytes, 3);
        char here;
        struct skipper skipper = {.code = code.data, .frame = &here};
        assert_int_equal(os_fault_handler_add(skip_fault, &skipper), ERR_ok);
        assert_int_equal(os_fault_handler_add(skip_fault, &skipper), ERR_ok);
        assert_int_equal(as_function(code.data)((char *)pages + 8, 0), 1234);
        assert_int_equal(skipper.count, 1);
        assert_false(skipper.on_stack);
        assert_int_equal(skipper.rdi, (uintptr_t)pages + 8);
        if (kinds[i].is_access)
            assert_int_equal(skipper.address, (uintptr_t)pages + 8);
        os_fault_handler_remove(skip_fault, &skipper);
        os_code_free(&code);
    }
    os_release(pages, 8192);
}

/* The pages are there without a touch, zeroed, and only those; or the system is old. */
static void test_populate(void **unused)
{
    (void)unused;
    enum { PAGES = 4 };
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uint8_t *data;
    unsigned char there[PAGES];
    assert_int_equal(os_reserve(PAGES * page, (void **)&data), ERR_ok);
    os_populate(data + page + 100, page);
    assert_int_equal(mincore(data, PAGES * page, there), 0);
    if (there[1] & 1)
        assert_true(there[2] & 1);
    assert_false(there[0] & 1);
    assert_false(there[3] & 1);
    for (size_t k = 0; k < PAGES * page; k++)
        assert_int_equal(data[k], 0);
    os_release(data, PAGES * page);
}

static void test_protect(void **unused)
{
    (void)unused;
    need_native();
    struct os_code reads = code_of(load, 3), writes = code_of(store, 3);
    struct skipper no_read = {.code = reads.data}, no_write = {.code = writes.data};
    assert_int_equal(os_fault_handler_add(skip_fault, &no_read), ERR_ok);
    assert_int_equal(os_fault_handler_add(skip_fault, &no_write), ERR_ok);
    uint32_t *page;
    assert_int_equal(os_reserve(4096, (void **)&page), ERR_ok);
    static const enum os_protection order[] = {OS_PROTECT_RW, OS_PROTECT_R,
                                               OS_PROTECT_NONE, OS_PROTECT_RW};
    static const unsigned read_faults[] = {0, 0, 1, 1}, write_faults[] = {0, 1, 2, 2};
    for (unsigned i = 0; i < countof(order); i++) {
        assert_int_equal(os_protect(page, 4096, order[i]), ERR_ok);
        (void)as_function(writes.data)(page, i);
        uint32_t got = as_function(reads.data)(page, 0);
        assert_int_equal(no_read.count, read_faults[i]);
        assert_int_equal(no_write.count, write_faults[i]);
        assert_int_equal(got, order[i] == OS_PROTECT_NONE ? 1234
                              : order[i] == OS_PROTECT_R  ? 0
                                                          : i);
    }
    assert_int_equal(os_protect((char *)page + 1, 4096, OS_PROTECT_R), ERR_io);
    os_fault_handler_remove(skip_fault, &no_read);
    os_fault_handler_remove(skip_fault, &no_write);
    os_release(page, 4096);
    os_code_free(&reads);
    os_code_free(&writes);
}

static void *fault_often(void *unused)
{
    (void)unused;
    char here;
    struct os_code code = code_of(load, 3);
    struct skipper skipper = {.code = code.data, .frame = &here};
    if (os_fault_stack_ensure() || os_fault_handler_add(skip_fault, &skipper))
        return "no handler";
    for (unsigned i = 0; i < 500; i++) {
        if (as_function(code.data)(NULL, 0) != 1234)
            return "wrong value";
    }
    os_fault_handler_remove(skip_fault, &skipper);
    os_code_free(&code);
    return skipper.count != 500 ? "wrong count"
           : skipper.on_stack   ? "ordinary stack"
                                : NULL;
}

static void test_threads(void **unused)
{
    (void)unused;
    need_native();
    pthread_t thread[4];
    for (unsigned i = 0; i < countof(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, fault_often, NULL), 0);
    for (unsigned i = 0; i < countof(thread); i++) {
        void *complaint = NULL;
        assert_int_equal(pthread_join(thread[i], &complaint), 0);
        assert_null(complaint);
    }
}

static void *ensure_only(void *unused)
{
    (void)unused;
    stack_t stack;
    bool good = !os_fault_stack_ensure() && !os_fault_stack_ensure() &&
                sigaltstack(NULL, &stack) == 0 && !(stack.ss_flags & SS_DISABLE);
    return good ? NULL : "no stack";
}

static void test_stack_dies_with_thread(void **unused)
{
    (void)unused;
    unsigned before = 0;
    for (unsigned i = 0; i < 200; i++) {
        pthread_t thread;
        void *complaint;
        assert_int_equal(pthread_create(&thread, NULL, ensure_only, NULL), 0);
        assert_int_equal(pthread_join(thread, &complaint), 0);
        assert_null(complaint);
        if (i == 10)
            before = count_mappings();
    }
    assert_in_range(count_mappings(), 0, before + 10);
}

/* ---- what is not ours; in child processes, since the handler stays installed ---- */

static bool refuse(void *self, void *ucontext)
{
    (void)ucontext;
    ++*(unsigned *)self;
    return false;
}

static siginfo_t previous_info;
static void on_previous(int number, siginfo_t *info, void *ucontext)
{
    (void)number, (void)ucontext;
    previous_info = *info;
    os_fault_ip_set(ucontext, os_fault_ip(ucontext) + 2);
}

static void simple_previous(int number)
{
    _exit(number == SIGSEGV ? 60 : 61);
}

static void fault_at(void *address)
{
    struct os_code code = code_of(load, 3);
    (void)as_function(code.data)(address, 0);
    os_code_free(&code);
}

static void die_by_default(void)
{
    fault_at((void *)16);
}

static void die_by_kill(void)
{
    (void)raise(SIGSEGV);
}

static void ignore_kill(void)
{
    (void)signal(SIGFPE, SIG_IGN);
    unsigned count = 0;
    if (os_fault_handler_add(refuse, &count))
        _exit(1);
    (void)raise(SIGFPE);
    _exit(count ? 2 : 50);
}

static void chain_siginfo(void)
{
    struct sigaction action = {.sa_sigaction = on_previous, .sa_flags = SA_SIGINFO};
    unsigned count = 0;
    (void)sigaction(SIGSEGV, &action, NULL);
    if (os_fault_handler_add(refuse, &count))
        _exit(1);
    fault_at((void *)16);
    fault_at((void *)32);
    _exit(count == 2 && previous_info.si_addr == (void *)32 ? 51 : 2);
}

static void chain_simple(void)
{
    unsigned count = 0;
    (void)signal(SIGSEGV, simple_previous);
    if (os_fault_handler_add(refuse, &count))
        _exit(1);
    fault_at((void *)16);
}

static void removed_is_not_asked(void)
{
    unsigned count = 0;
    (void)signal(SIGSEGV, simple_previous);
    if (os_fault_handler_add(refuse, &count))
        _exit(1);
    os_fault_handler_remove(refuse, &count);
    struct sigaction now;
    (void)sigaction(SIGSEGV, NULL, &now);
    if (now.sa_handler == simple_previous)
        _exit(3);
    (void)raise(SIGSEGV);
}

static struct sigaction below;

/* Puts itself over ours and knows ours as the earlier one. */
static void on_top(int number, siginfo_t *info, void *ucontext)
{
    below.sa_sigaction(number, info, ucontext);
}

static void chain_loop(void)
{
    struct sigaction action = {.sa_sigaction = on_top, .sa_flags = SA_SIGINFO};
    unsigned count = 0;
    (void)signal(SIGSEGV, simple_previous);
    if (os_fault_handler_add(refuse, &count))
        _exit(1);
    for (unsigned i = 0; i < 200; i++) { /* more often than there are records */
        (void)sigaction(SIGSEGV, &action, i ? NULL : &below);
        if (os_fault_handler_add(refuse, &count))
            _exit(1);
    }
    fault_at((void *)16);
}

static void run_out_of_slots(void)
{
    static unsigned count[17];
    for (unsigned i = 0; i < 16; i++) {
        if (os_fault_handler_add(refuse, &count[i]))
            _exit(1);
    }
    _exit(os_fault_handler_add(refuse, &count[16]) == ERR_limit ? 52 : 2);
}

static void add_and(void (*then)(void))
{
    unsigned count = 0;
    (void)signal(SIGSEGV, SIG_DFL); /* a sanitizer's handler ends the process */
    if (os_fault_handler_add(refuse, &count))
        _exit(1);
    then();
    _exit(2);
}

static void expect_end(void (*work)(void), bool with_default, int want)
{
    (void)fflush(NULL);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        if (with_default)
            add_and(work);
        work();
        _exit(3);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status),
                     want);
}

static void test_not_ours(void **unused)
{
    (void)unused;
    need_native();
    expect_end(die_by_default, true, -SIGSEGV);
    expect_end(die_by_kill, true, -SIGSEGV);
    expect_end(ignore_kill, false, 50);
    expect_end(chain_siginfo, false, 51);
    expect_end(chain_simple, false, 60);
    expect_end(chain_loop, false, 60);
    expect_end(removed_is_not_asked, false, 60);
    expect_end(run_out_of_slots, false, 52);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_features),
        cmocka_unit_test(test_gs),
        cmocka_unit_test(test_code_private),
        cmocka_unit_test(test_code_shared),
        cmocka_unit_test(test_code_limits),
        cmocka_unit_test(test_not_ours),
        cmocka_unit_test(test_fault_kinds),
        cmocka_unit_test(test_populate),
        cmocka_unit_test(test_protect),
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_stack_dies_with_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
