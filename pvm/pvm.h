/* SPDX-License-Identifier: MIT
 *
 * pvm/pvm.h - the PVM: instruction set, containers, memory, gas and engines.
 *
 * Source of every rule: pvm-exec.md ("[4.3]" names its section).  The library is
 * pure: it knows no clock, file or thread, and nothing of traces.  What a run asks
 * of the world goes through `struct pvm_host`; what a recorder wants to see goes
 * through `struct pvm_observer`.
 *
 * Determinism: results depend on the program, its configuration, the state and the
 * host's answers, never on the machine, the compiler or the addresses.
 *
 * Threads: a program may be shared by any number of threads, a state belongs to one.
 */
#ifndef PVM_PVM_H
#define PVM_PVM_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- instruction set [1, 2, 3] ------------------------------------------------ */

enum {
    PVM_REG_COUNT = 13,
    PVM_PAGE_SIZE = 4096,
    PVM_PAGE_COUNT = 1 << 20,
    PVM_CODE_SIZE_MAX = 1 << 24,  /* [6.2] */
    PVM_JUMP_COUNT_MAX = 1 << 20, /* [6.2] */
    PVM_SKIP_MAX = 24,
    PVM_INSN_SIZE_MAX = 25,
};

#define PVM_HALT_ADDRESS 0xffff0000u /* VECTORS only [4.2] */

enum pvm_op {
#define OP(code, name, format, flags, text) PVM_OP_##name = code,
#include "pvm/opcodes.def"
};

enum pvm_format {
    PVM_FORMAT_NONE,    /* NoArg */
    PVM_FORMAT_X,       /* OneImm */
    PVM_FORMAT_A_X64,   /* RegExt64 */
    PVM_FORMAT_X_Y,     /* TwoImm */
    PVM_FORMAT_T,       /* OneOffset */
    PVM_FORMAT_A_X,     /* RegImm */
    PVM_FORMAT_A_X_Y,   /* RegTwoImm */
    PVM_FORMAT_A_X_T,   /* RegImmOff */
    PVM_FORMAT_D_A,     /* TwoReg */
    PVM_FORMAT_A_B_X,   /* TwoRegImm */
    PVM_FORMAT_A_B_T,   /* TwoRegOff */
    PVM_FORMAT_A_B_X_Y, /* TwoRegTwoImm */
    PVM_FORMAT_D_A_B,   /* ThreeReg */
};

enum pvm_op_flag {
    PVM_OP_T = 1 << 0,
    PVM_OP_TJ = 1 << 1,
    PVM_OP_JAVM = 1 << 2,
    PVM_OP_LOAD = 1 << 3,
    PVM_OP_STORE = 1 << 4,
    PVM_OP_COND = 1 << 5,
    PVM_OP_JUMP = 1 << 6,
    PVM_OP_DYN = 1 << 7,
    PVM_OP_CALL = 1 << 8,
    PVM_OP_SINK = 1 << 9,
};

/* One row of pvm/opcodes.def; `name` is NULL for a code that no profile assigns. */
struct pvm_op_info {
    const char *name;
    const char *text;
    uint16_t flags;
    uint8_t format;
};
extern const struct pvm_op_info pvm_op_info[256];

enum pvm_profile {
    PVM_PROFILE_VECTORS = 0,
    PVM_PROFILE_JAVM = 1,
};

/* "vectors", "javm". */
const char *pvm_profile_name(enum pvm_profile profile);

/* U of the profile: is `op` assigned? */
bool pvm_op_assigned(enum pvm_profile profile, uint8_t op);

/* T of the profile: does `op` end a block? [4.1] */
bool pvm_op_terminates(enum pvm_profile profile, uint8_t op);

/* Register names as guests' compilers use them: ra sp t0 t1 t2 s0 s1 a0..a5. */
extern const char *const pvm_reg_name[PVM_REG_COUNT];

/* (c, k, j): a program as bytes, borrowed.  k is packed, bit i of byte i/8 is k[i];
 * it has ceil(|c|/8) bytes, unused bits zero.  Table entries have `jump_width`
 * bytes (0..8), little-endian. */
struct pvm_code {
    struct bytes code;
    const uint8_t *bitmask;
    const uint8_t *jump;
    uint32_t jump_count;
    uint8_t jump_width;
};

static inline bool pvm_code_marked(const struct pvm_code *code, uint32_t pc)
{
    return pc < code->code.size && (code->bitmask[pc >> 3] >> (pc & 7) & 1);
}

/* Entry `index` of the jump table as a full unsigned value; index < jump_count. */
uint64_t pvm_code_jump(const struct pvm_code *code, uint32_t index);

/* skip(pc) [1.1]. */
uint32_t pvm_code_skip(const struct pvm_code *code, uint32_t pc);

/* ok(pc) [1.1]. */
bool pvm_code_ok(const struct pvm_code *code, enum pvm_profile profile, uint32_t pc);

/* program_valid [4.4]. */
bool pvm_code_valid(const struct pvm_code *code, enum pvm_profile profile);

/* One decoded instruction.  Registers that the format does not have are 0, and so are
 * immediates.  `target` is an absolute pc as a signed number [2, point 4]. */
struct pvm_insn {
    uint32_t pc;
    uint8_t op;
    uint8_t size; /* 1 + skip */
    uint8_t a, b, d;
    int64_t x, y;
    int64_t target;
};

/* Decode the instruction at `pc`; false (and *ret_insn untouched) unless ok(pc). */
bool pvm_insn_decode(const struct pvm_code *code, enum pvm_profile profile, uint32_t pc,
                     struct pvm_insn *ret_insn);

/* The memory that an instruction is about to access; size 0: none. */
struct pvm_insn_access {
    uint32_t address;
    uint8_t size;
    bool store;
};
struct pvm_insn_access pvm_insn_touches(const struct pvm_insn *insn,
                                        const uint64_t reg[PVM_REG_COUNT]);

/* Least number of bytes (0..4) that hold `value` sign-extended; 5 if four do not. */
unsigned pvm_imm_size(int64_t value);

/* Encode with the given immediate sizes: `x_size` is X's (8 for load_imm_64, the
 * offset's in formats T and A_B_T), `y_size` is Y's (the offset's in A_X_T).  An
 * offset is target - pc.  `insn->size` is not read.  Returns the bytes written, 0 if
 * a value does not fit its size. */
size_t pvm_insn_encode(const struct pvm_insn *insn, unsigned x_size, unsigned y_size,
                       uint8_t ret_bytes[PVM_INSN_SIZE_MAX]);

/* ---- containers [6] ------------------------------------------------------------ */

enum pvm_container_kind {
    PVM_CONTAINER_RAW,     /* [6.2] */
    PVM_CONTAINER_SPI,     /* [6.3] standard program */
    PVM_CONTAINER_POLKAVM, /* [6.4] */
};

/* "raw", "spi", "polkavm". */
const char *pvm_container_kind_name(enum pvm_container_kind kind);

enum pvm_access {
    PVM_ACCESS_NONE = 0,
    PVM_ACCESS_R = 1,
    PVM_ACCESS_RW = 3,
};

/* One mapping; bytes behind `data` are zero.  data.size <= size. */
struct pvm_region {
    uint32_t start;
    uint64_t size; /* a multiple of 4096, > 0 */
    enum pvm_access access;
    struct bytes data;
};

enum { PVM_REGION_COUNT_MAX = 4, PVM_ARGS_SIZE_MAX = 1 << 24 };

struct pvm_export {
    uint32_t pc;
    struct bytes name;
};

struct pvm_container {
    enum pvm_container_kind kind;
    struct bytes raw;     /* the program as a raw blob */
    struct pvm_code code; /* the same, parsed */
    struct pvm_region region[PVM_REGION_COUNT_MAX];
    uint32_t region_count;
    uint64_t reg[PVM_REG_COUNT]; /* start registers */
    const struct pvm_export *export_list;
    uint32_t export_count;
    const struct bytes *import_list; /* symbols, in order of their index */
    uint32_t import_count;
};

/* E(x) [6.1]: append, and read from the front of `*input`.  A read yields
 * pvm_truncated or pvm_varint. */
void pvm_varint_put(struct buf *buf, uint64_t value);
ERR_MUST_CHECK enum err pvm_varint_get(struct bytes *input, uint64_t *ret_value);

/* Parse a raw blob [6.2]; everything points into `blob`. */
ERR_MUST_CHECK enum err pvm_code_parse(struct bytes blob, struct pvm_code *ret_code);

/* Append the raw blob of a program; its errors stick to `buf`. */
void pvm_code_put(const struct pvm_code *code, struct buf *buf);

/* Load a container of a known kind from hostile bytes.  `args` go into the argument
 * region of a standard program (others ignore them).  `profile` decides how a
 * .polkavm's `unlikely` is translated.  Everything points into `file`, `args` or
 * `arena`.  Errors: the pvm_ rows of base/err.def, nomem. */
ERR_MUST_CHECK enum err pvm_container_load(struct arena *arena,
                                           enum pvm_container_kind kind,
                                           enum pvm_profile profile, struct bytes file,
                                           struct bytes args,
                                           struct pvm_container *ret_container);

/* Guess the kind: .polkavm by its magic, a standard program if it loads as one,
 * else raw. */
enum pvm_container_kind pvm_container_detect(struct bytes file);

/* ---- gas [7] ------------------------------------------------------------------- */

/* The run configuration [1.2]: part of a program's identity in a trace. */
struct pvm_config {
    enum pvm_profile profile;
    uint32_t model;      /* gas model + 256 * page-gas model */
    uint32_t mem_cycles; /* model 1: latency of loads and stores; 1..1000 */
};

/* The profile's default: VECTORS {0}, JAVM {1, 25}. */
struct pvm_config pvm_config_default(enum pvm_profile profile);

/* ERR_unsupported for a model that is reserved or unknown, ERR_usage for
 * mem_cycles out of range or page gas in VECTORS. */
ERR_MUST_CHECK enum err pvm_config_check(const struct pvm_config *config);

enum {
    PVM_GAS_PAGE_IN = 64,
    PVM_GAS_COW = 256,
};

/* What walk(pc) costs [4.3, 7]. */
struct pvm_walk {
    uint64_t need;
    uint32_t visit_count; /* instructions, the trap of a bad position included */
    uint32_t store_count;
    uint32_t end;  /* position behind the last visit that was ok */
    uint32_t last; /* position of the last visit, ok or not */
};
struct pvm_walk pvm_code_walk(const struct pvm_code *code,
                              const struct pvm_config *config, uint32_t pc);

/* trace-replay.md 5.1 */
enum pvm_charge_kind {
    PVM_CHARGE_BLOCK = 0,
    PVM_CHARGE_COW = 2,
    PVM_CHARGE_OPERATION = 4,
};

/* ---- memory [5] ---------------------------------------------------------------- */

/*
 * A 4 GiB address space over memory that the caller reserves: PVM_MEM_RESERVE_SIZE
 * zeroed bytes, committed lazily (base/os.h: os_reserve).  Pages with initial bytes
 * are shared with the owner of those bytes and copied on their first access.
 */
struct pvm_mem;

#define PVM_MEM_RESERVE_SIZE (((size_t)1 << 32) + ((size_t)84 << 20))

/* Place an empty address space into zeroed, page-aligned `reservation`, which is the
 * answer. */
struct pvm_mem *pvm_mem_init(void *reservation);

/* Empty an address space for its next owner, as pvm_mem_init() left it, touching only
 * what has been in use.  False: nothing has been done, a new reservation is cheaper. */
bool pvm_mem_reset(struct pvm_mem *mem);

/* Map zero pages, then the initial bytes, which stay borrowed for the life of the
 * address space.  pvm_align, pvm_limit, pvm_overlap [5.3]. */
ERR_MUST_CHECK enum err pvm_mem_map(struct pvm_mem *mem, uint32_t start, uint64_t size,
                                    enum pvm_access access, struct bytes initial);

/* Make pages inaccessible, zero, and forget their states.  pvm_align, pvm_limit. */
ERR_MUST_CHECK enum err pvm_mem_unmap(struct pvm_mem *mem, uint32_t start,
                                      uint64_t size);

/* Change the mode of mapped pages to R or RW; keeps contents and page state.  Also
 * pvm_access, usage. */
ERR_MUST_CHECK enum err pvm_mem_protect(struct pvm_mem *mem, uint32_t start,
                                        uint64_t size, enum pvm_access access);

/* Host access [5.4]: checks the whole range before it moves a byte; does not wrap.
 * pvm_access.  A write changes page states as a guest store does; *ret_cow_count,
 * when not NULL, gets the number of pages that went from clean to written. */
ERR_MUST_CHECK enum err pvm_mem_read(struct pvm_mem *mem, uint32_t address, size_t size,
                                     void *ret_bytes);
ERR_MUST_CHECK enum err pvm_mem_write(struct pvm_mem *mem, uint32_t address,
                                      const void *bytes, size_t size,
                                      uint32_t *ret_cow_count);

/* True when every page of the range is mapped (for RW: writable). */
bool pvm_mem_accessible(const struct pvm_mem *mem, uint32_t address, uint64_t size,
                        enum pvm_access access);

enum pvm_access pvm_mem_access(const struct pvm_mem *mem, uint32_t page);
bool pvm_mem_written(const struct pvm_mem *mem, uint32_t page);

/* The bytes of a mapped page, for dumps and digests; NULL for a page that is not
 * mapped.  Valid until the next run or change. */
const uint8_t *pvm_mem_page(const struct pvm_mem *mem, uint32_t page);

/* The least mapped page >= page, or PVM_PAGE_COUNT. */
uint32_t pvm_mem_next_page(const struct pvm_mem *mem, uint32_t page);

/* ---- memory under a debugger ----------------------------------------------------- */

/* The least page >= `page` that may have changed since it was cleaned (mapped with
 * bytes, stored to), or PVM_PAGE_COUNT.  A digest cleans pages too. */
uint32_t pvm_mem_next_dirty(struct pvm_mem *mem, uint32_t page);
void pvm_mem_clean(struct pvm_mem *mem, uint32_t page);

/* Let the next digest look at every mapped page again. */
void pvm_mem_dirty_all(struct pvm_mem *mem);

/* Give a mapped page its bytes (NULL: zeros) and page state [7.6] back; it is clean
 * afterwards. */
void pvm_mem_restore(struct pvm_mem *mem, uint32_t page, const uint8_t *bytes,
                     bool written);

/* Guest accesses to [first, last] end an interpreted run with PVM_EXIT_BREAK before
 * anything is done.  `access` has 1 for loads, 2 for stores. */
struct pvm_watch {
    uint32_t first, last;
    unsigned access;
};
enum { PVM_WATCH_LOAD = 1, PVM_WATCH_STORE = 2 };

/* Watch these ranges (borrowed) and no others; count 0: none. */
void pvm_mem_watch(struct pvm_mem *mem, const struct pvm_watch *watch, size_t count);

/* Is one of them met by an access of `size` bytes?  NULL: none is. */
const struct pvm_watch *pvm_mem_watched(const struct pvm_mem *mem, uint32_t address,
                                        uint64_t size, unsigned access);

/* ---- state, exits, run [1, 8, 9] ------------------------------------------------ */

struct pvm_state {
    uint64_t reg[PVM_REG_COUNT];
    uint64_t gas;
    uint64_t icount;
    uint32_t pc;
    bool charged;
    struct pvm_mem *mem; /* borrowed; NULL: no memory is mapped */
};

enum pvm_exit {
    PVM_EXIT_HALT = 0,
    PVM_EXIT_PANIC = 1,
    PVM_EXIT_OUT_OF_GAS = 2,
    PVM_EXIT_PAGE_FAULT = 3, /* arg: page address */
    PVM_EXIT_HOST_CALL = 4,  /* arg: X, 64 bits */
    PVM_EXIT_ECALL = 6,      /* arg: lo(phi11) */
    PVM_EXIT_TRAP = 7,
    PVM_EXIT_STOPPED = 16, /* by the observer, at an uncharged block entry */
    /* No exit of the machine: the sandbox is lost.  The caller's state, and what the
     * observer has seen, are those of the last exit or report. */
    PVM_EXIT_LOST = 17,
    /* No exit of the machine: a debugger's breakpoint or watchpoint (below).  The
     * instruction at pc has not begun; its block is paid for. */
    PVM_EXIT_BREAK = 18,
};

/* "halt", "panic", "out-of-gas", … */
const char *pvm_exit_name(enum pvm_exit exit);

struct pvm_outcome {
    enum pvm_exit exit;
    uint64_t arg;
};

enum pvm_answer {
    PVM_ANSWER_CONTINUE, /* go on at state->pc */
    PVM_ANSWER_EXIT,     /* the run ends with *ret_outcome */
};

/* The handler of [9.1].  `kind` is PVM_EXIT_HOST_CALL or PVM_EXIT_ECALL; the state is
 * complete and pc is the next instruction's.  `pc` is that of the call itself. */
struct pvm_host {
    enum pvm_answer (*ecall)(void *self, struct pvm_state *state, enum pvm_exit kind,
                             uint64_t number, uint32_t pc,
                             struct pvm_outcome *ret_outcome);
    void *self;
};

/* ---- recording (trace-replay.md 5) ---------------------------------------------- */

enum pvm_gas_log {
    PVM_GAS_LOG_NONE,
    PVM_GAS_LOG_LEDGER,  /* segments with the path */
    PVM_GAS_LOG_EACH,    /* one call per charge */
    PVM_GAS_LOG_SUMMARY, /* segments with n, gas and a rolling hash */
};

enum pvm_segment_end {
    PVM_SEGMENT_SPLIT_BLOCK = 0,
    PVM_SEGMENT_SPLIT_INSIDE = 1,
    PVM_SEGMENT_ECALL = 2,
    PVM_SEGMENT_HALT = 3,
    PVM_SEGMENT_TRAP = 4,
    PVM_SEGMENT_PANIC = 5,
    PVM_SEGMENT_OUT_OF_GAS = 6,
    PVM_SEGMENT_PAGE_FAULT = 7,
    PVM_SEGMENT_STOPPED = 8,
};

/* A page charge inside a segment: 5.3 "extra". */
struct pvm_extra {
    uint64_t dn;
    uint32_t dpc;
    uint32_t kind;
    uint32_t where;
    uint32_t cost;
};

/* A finished segment; everything borrowed during the call. */
struct pvm_segment {
    uint32_t pc;
    uint32_t start;
    uint64_t n;
    uint64_t gas;
    enum pvm_segment_end end;
    uint32_t end_pc;
    uint32_t nbits;
    struct bytes bits;
    struct bytes targets; /* LEB128 */
    const struct pvm_extra *extra;
    uint32_t extra_count;
    uint64_t hash; /* summary only */
};

/*
 * What a recorder sees.  Every member may be NULL.  `state` is complete in each call
 * (pc, icount and gas of the boundary).
 */
struct pvm_observer {
    void *self;
    /* LEDGER, SUMMARY: a segment ended.  Comes before the host's handler. */
    void (*segment)(void *self, const struct pvm_state *state,
                    const struct pvm_segment *segment);
    /* EACH: a charge was made.  For blocks the state is at the block's entry, already
     * debited; for pages pc is the touching instruction. */
    void (*charge)(void *self, const struct pvm_state *state, enum pvm_charge_kind kind,
                   uint32_t where, uint64_t cost);
    /* At the first uncharged block entry with state->gas <= gas_stop, before its
     * charge and gas check.  Answers the next gas_stop, or PVM_GAS_STOP_NEVER; false
     * ends the run with PVM_EXIT_STOPPED. */
    bool (*deadline)(void *self, struct pvm_state *state, int64_t *ret_gas_stop);
    int64_t gas_stop; /* of the first deadline; PVM_GAS_STOP_NEVER: none */
};

#define PVM_GAS_STOP_NEVER ((int64_t)-1)

/* ---- engine ---------------------------------------------------------------------- */

/* A predecoded program: immutable, lives in its arena. */
struct pvm_program;

/* Predecode.  `code` (with its bytes) stays borrowed.  `log` decides what the
 * program's runs maintain for an observer.  ERR_nomem, and pvm_config_check's. */
ERR_MUST_CHECK enum err pvm_program_create(struct arena *arena,
                                           const struct pvm_code *code,
                                           const struct pvm_config *config,
                                           enum pvm_gas_log log,
                                           struct pvm_program **ret_program);

const struct pvm_code *pvm_program_code(const struct pvm_program *program);
const struct pvm_config *pvm_program_config(const struct pvm_program *program);
enum pvm_gas_log pvm_program_gas_log(const struct pvm_program *program);

/* Is `pc` in the set of valid jump targets and block starts? [4.1] */
bool pvm_program_block_start(const struct pvm_program *program, uint32_t pc);

/* block_of(pc) [4.3]; charge it with pvm_code_walk. */
uint32_t pvm_program_block_of(const struct pvm_program *program, uint32_t pc);

/* Append the block table of trace-replay.md 5.2.  A run that starts at `start_pc` may
 * pay for a position that is no block start: it gets a row too. */
void pvm_program_put_blocks(const struct pvm_program *program, uint32_t start_pc,
                            struct buf *buf);

/* ---- recompiler [10.3] --------------------------------------------------------------
 */

/*
 * A sandbox: a process in which native code runs, and can do nothing but run
 * (docs/sandbox.md).  Results are the same; a call costs half a microsecond instead of
 * nanoseconds.  Losing it is no exit of the machine: pvm_run() then answers
 * PVM_EXIT_LOST, and all programs of the sandbox from then on.  One run at a time.
 */
struct pvm_sandbox;

struct pvm_sandbox_options {
    /* Serves one program in one address space: gives up the system calls with which it
     * could map more.  Another program or space is still possible, in a new process. */
    bool single;
    uint64_t timeout_ns; /* of native code between two exits; 0: none */
    unsigned without_walls, require_walls; /* base/os_worker.h */
};

/* Start it; the process lives until the close.  `options` may be NULL.
 * ERR_unsupported, ERR_nomem, ERR_worker_lost, ERR_io. */
ERR_MUST_CHECK enum err pvm_sandbox_create(struct arena *arena,
                                           const struct pvm_sandbox_options *options,
                                           struct pvm_sandbox **ret_sandbox);

/* Kill the process; NULL and twice are fine. */
void pvm_sandbox_close(struct pvm_sandbox *sandbox);

/* Why runs answer PVM_EXIT_LOST: ERR_worker_lost, ERR_worker_timeout, ERR_nomem, … */
enum err pvm_sandbox_err(const struct pvm_sandbox *sandbox);

/* Its process; 0: none. */
int pvm_sandbox_worker_pid(const struct pvm_sandbox *sandbox);

/*
 * A cache of native code [10.5]: a program that is there, byte for byte and with the
 * same configuration, gas log and options, is not compiled again.  Results are the same
 * with and without.  What was not used for the longest time goes first, but nothing
 * that is in use; so the size can be exceeded by what is.  Not thread safe, and neither
 * are the close of its programs.
 */
struct pvm_recomp_cache;

/* Dies with the arena, but for what the close gives back.  `size_max`: bytes.
 * ERR_nomem. */
ERR_MUST_CHECK enum err pvm_recomp_cache_create(struct arena *arena, size_t size_max,
                                                struct pvm_recomp_cache **ret_cache);

/* Give its memory back, after its programs were closed; NULL and twice are fine. */
void pvm_recomp_cache_close(struct pvm_recomp_cache *cache);

struct pvm_recomp_cache_counts {
    uint64_t hits, misses, evictions;
    size_t size;    /* bytes now */
    uint32_t count; /* programs now */
};
struct pvm_recomp_cache_counts
pvm_recomp_cache_counts(const struct pvm_recomp_cache *cache);

/*
 * Memory that programs are compiled into one after the other.  It stays when they are
 * closed, so that the next one finds its pages there, which is a third of the time that
 * compiling takes otherwise.  One program has it at a time; others take memory of their
 * own, as do those that run in a sandbox, those of a cache, and very large ones.  Not
 * thread safe, and neither are the close of its programs.
 */
struct pvm_recomp_workspace;

/* Dies with the arena, but for what the close gives back.  ERR_nomem. */
ERR_MUST_CHECK enum err
pvm_recomp_workspace_create(struct arena *arena,
                            struct pvm_recomp_workspace **ret_workspace);

/* Give its memory back, after its program was closed; NULL and twice are fine. */
void pvm_recomp_workspace_close(struct pvm_recomp_workspace *workspace);

struct pvm_recomp_options {
    /* Opcodes whose emitter is switched off: the interpreter executes them (bit op%64
     * of word op/64). */
    uint64_t interp_only[4];
    /* Test the rights of each access in code instead of taking a signal for what may
     * not go ahead [10.4].  Slower; for sanitizers, and hosts that own SIGSEGV. */
    bool explicit_checks;
    /* No gas: nothing is charged, tested or counted (gas, icount and `charged` mean
     * nothing at the end), and neither budget nor deadline stops the run.  For
     * measurements; neither with page gas nor with a log (ERR_usage). */
    bool unmetered;
    struct pvm_sandbox *sandbox; /* run there, not in this process; NULL: here */
    bool keep_map;               /* remember what pvm_program_native_range() answers */
    /* Interpret the first blocks in memory that native code has not seen, where first
     * stores to pages cost no signals yet. */
    bool interpret_first;
    struct pvm_recomp_cache *cache; /* to take it from, borrowed; NULL: compile */
    struct pvm_recomp_workspace *workspace; /* to compile into, borrowed; NULL: new
                                               memory */
};

/* Can this machine and build run recompiled code? */
bool pvm_recomp_available(void);

/*
 * The same program for the recompiler: pvm_run() then runs native code, with the same
 * results in every respect.  `options` may be NULL.  The code memory belongs to the
 * program, or to options->cache: pvm_program_close(), once, gives it back.
 * ERR_unsupported where pvm_recomp_available() is false, ERR_nomem also without code
 * memory.
 */
ERR_MUST_CHECK enum err pvm_program_recompile(struct arena *arena,
                                              const struct pvm_code *code,
                                              const struct pvm_config *config,
                                              enum pvm_gas_log log,
                                              const struct pvm_recomp_options *options,
                                              struct pvm_program **ret_program);

/* Give back what the arena does not own; NULL and interpreted programs are fine. */
void pvm_program_close(struct pvm_program *program);

/* Is it a recompiled one? */
bool pvm_program_native(const struct pvm_program *program);

/* The native code, borrowed, and where the code of an instruction begins in it.  For
 * listings; false: `pc` is no instruction that was compiled, or there is no map. */
struct bytes pvm_program_native_code(const struct pvm_program *program,
                                     const void **ret_address);
bool pvm_program_native_range(const struct pvm_program *program, uint32_t pc,
                              uint32_t *ret_offset, uint32_t *ret_size);

/* Per-run memory of an engine: segment buffers and the like.  Allocated once, used by
 * any number of runs of any program, one at a time. */
struct pvm_engine;
ERR_MUST_CHECK enum err pvm_engine_create(struct arena *arena,
                                          struct pvm_engine **ret_engine);

/* Two dispatch loops over the same handlers, both always built. */
enum pvm_dispatch {
    PVM_DISPATCH_AUTO,     /* threaded where the compiler makes it safe */
    PVM_DISPATCH_LOOP,     /* one call per instruction */
    PVM_DISPATCH_THREADED, /* tail calls; LOOP where not built */
};
void pvm_engine_set_dispatch(struct pvm_engine *engine, enum pvm_dispatch dispatch);

/* Run until an exit.  `host` and `observer` may be NULL: then every ecall is an exit,
 * and nothing is reported.  [1.3, 8, 9] */
struct pvm_outcome pvm_run(struct pvm_engine *engine, const struct pvm_program *program,
                           struct pvm_state *state, const struct pvm_host *host,
                           const struct pvm_observer *observer);

/* Execute exactly one instruction (charging its block first where that is due).
 * True when it retired and the run goes on; else *ret_outcome says how it ended. */
bool pvm_step(struct pvm_engine *engine, const struct pvm_program *program,
              struct pvm_state *state, struct pvm_outcome *ret_outcome);

/* End runs of an interpreted program (pvm_step() never) in front of the instruction at
 * `pc` with PVM_EXIT_BREAK, also where a run begins there.  Nothing else may run it
 * meanwhile.  ERR_usage: there is no such instruction, or native code; ERR_nomem. */
ERR_MUST_CHECK enum err pvm_program_break(struct pvm_program *program,
                                          struct arena *arena, uint32_t pc, bool on);

/* Debit by a handler: tests before it debits [7.5].  False: not enough, unchanged. */
bool pvm_state_debit(struct pvm_state *state, uint64_t cost);

/* ---- digests (trace-replay.md 7.2) ---------------------------------------------- */

/* An incremental Merkle tree over an address space; only pages that changed since the
 * last call are hashed again. */
struct pvm_digest;
ERR_MUST_CHECK enum err pvm_digest_create(struct arena *arena, struct pvm_mem *mem,
                                          struct pvm_digest **ret_digest);

/* Register digest: blake2b-256 of phi0..12, pc, gas as u64. */
struct hash256;
void pvm_state_digest_registers(const struct pvm_state *state,
                                struct hash256 *ret_hash);
ERR_MUST_CHECK enum err pvm_digest_memory(struct pvm_digest *digest,
                                          struct hash256 *ret_hash);

/* The whole machine: registers, memory root, access runs, empty device array. */
ERR_MUST_CHECK enum err pvm_digest_machine(struct pvm_digest *digest,
                                           const struct pvm_state *state,
                                           struct hash256 *ret_hash);

/* ---- text ----------------------------------------------------------------------- */

/* Append one instruction as text, without a newline: "add_imm_64 a1, sp, 0x100".
 * Jump targets are absolute: "jump @24". */
void pvm_insn_put_text(const struct pvm_insn *insn, struct buf *buf);

/*
 * Append the listing of a program: one line per instruction, "@24: " in front of it.
 * Positions that are no instruction, or one that the assembler would write otherwise,
 * come as ".insn" or ".data" with their bytes, and the jump table comes first, so that
 * pvm_asm() of the listing gives the same raw blob, whatever the program.
 */
void pvm_disasm(const struct pvm_code *code, enum pvm_profile profile, struct buf *buf);

/* The same with a line "name:" before the line that holds each label's position.
 * `label` is in ascending order of pc.  What is no name in assembly is a comment. */
void pvm_disasm_labels(const struct pvm_code *code, enum pvm_profile profile,
                       const struct pvm_export *label, uint32_t label_count,
                       struct buf *buf);

/* Append the one line at `pc` < |c|; answers the pc of the next line. */
uint32_t pvm_disasm_line(const struct pvm_code *code, enum pvm_profile profile,
                         uint32_t pc, struct buf *buf);

/* What was wrong with assembly text, and where. */
struct pvm_asm_error {
    uint32_t line; /* from 1 */
    char message[120];
};

/* Assemble text (the grammar is in pvm/asm.h) into a raw blob, appended to `blob`.
 * pvm_asm and pvm_limit, both with *ret_error filled; nomem. */
ERR_MUST_CHECK enum err pvm_asm(struct bytes text, struct buf *blob,
                                struct pvm_asm_error *ret_error);

#endif
