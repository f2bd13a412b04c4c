/* SPDX-License-Identifier: MIT
 *
 * pvm/native.h - native code, its tables, and what it shares with the C around it.
 * Private to pvm/.
 *
 * A unit is the native code of one program: for each block start a gas check and the
 * block's instructions.  Code runs until something unusual comes up; then a stub puts
 * all guest registers and a word that says what it was into the context and returns to
 * C, which does with it what the interpreter does and enters the code again:
 *
 *   EXIT_GAS   at a block entry that the shown gas does not pay for
 *   EXIT_STEP  before an instruction that the interpreter shall execute, with nothing
 *              of it done: calls, traps, bad jumps, rare cases, switched-off emitters
 *   EXIT_GOTO  behind an instruction, at a position that is no block start
 *   EXIT_CALL  at an ecall or ecalli
 *
 * A memory access that the page protection stops becomes an EXIT_STEP, too.
 *
 * Registers: 13 guest registers in host registers (NATIVE_REG), rdx is scratch, gs is
 * the base of guest memory, so that an access is one instruction:
 * gs:[r32 + disp32] with 32-bit address arithmetic, which wraps as [5.1] wants it.
 * (Where no gas is charged r15 is that base, too, and short blocks go by it.)
 * In long blocks with many accesses near sp, r15 is where sp points to, from the first
 * of these on; what it is elsewhere waits in xmm3 and is back where code is left on
 * purpose.  A fault in between tells C what xmm3 holds, and the interpreter goes on to
 * the end of the block, since nobody enters the code there (recomp_stack.c).
 * rsp is the top of the list of table jumps while a ledger is kept, and a stack.
 *
 * Without a ledger a guest's call (load_imm_jump or load_imm_jump_ind that puts the
 * address behind it into ra) is a host's call, and a jump to ra a return, which the CPU
 * foresees: behind the call stands a test that ra says the same.  The stack is only a
 * guess: what is on it is code of the unit, each exit forgets it, when it is full the
 * call faults and the interpreter makes it, and when it is empty or wrong the jump goes
 * by the table.
 *
 * Results that nobody can see are not made (recomp_seen.c): overwritten ones, with
 * nothing in between that may leave the code.  An access near sp, between two of the
 * block that have succeeded and are a page apart at most, is nothing of that kind.
 * Carries stay in the carry flag where they can (recomp_carry.c).
 *
 * The meter is one word of three counts that a block entry lowers in one subtraction:
 *
 *   56..39 shown gas    38..21 blocks that may still be entered    20..0 instructions
 *
 * The two lower fields begin full and cannot run out before the gas does: a block costs
 * at least 1 and at least (visits - 4) / 4.  So the subtraction borrows exactly when
 * the shown gas is less than the block's cost.  Without a log the meter is in r15 and
 * the test is `sub r15, [cost]; jb`.  With a rolling hash, that is in r15, and the
 * meter is in xmm0, whose sign tells the same.
 *
 * With a path, the outcomes of branches are shifted into xmm0 below a sentinel, and the
 * meter in r15 has a fourth field, 63..57: blocks until they are put away, which each
 * entry lowers, too, so that the same borrow tells when it is time (a block has one
 * outcome at most).  Gas cannot run out before as long as there is enough of it for the
 * dearest block so many times; when there is not, each entry looks (emit_flush()).
 *
 * Under gas model 0 a block costs what it counts.  Without a log the meter is then the
 * shown gas alone and the cost an immediate, which is faster (the CPU fuses `sub r15,
 * imm; jb`, and there is no load).
 */
#ifndef PVM_NATIVE_H
#define PVM_NATIVE_H

#include "pvm/decode.h"
#include "pvm/engine.h"
#include "pvm/gas.h"
#include "pvm/mutant.h"
#include "pvm/x64.h"

struct os_code;

enum {
    METER_PATH_SHIFT = 57,
    METER_GAS_SHIFT = 39,
    METER_BLOCK_SHIFT = 21,
    METER_GAS_MAX = (1 << 18) - 1,
    METER_BLOCK_MASK = (1 << 18) - 1,
    METER_INSN_MASK = (1 << 21) - 1,
    /* Blocks between two words of outcomes: a word holds one more than that. */
    PATH_BLOCKS_MAX = 62,
};
#define METER_PATH_ONE ((uint64_t)1 << METER_PATH_SHIFT)

/* The lower fields when nothing has been counted yet. */
#define METER_FULL (((uint64_t)1 << METER_GAS_SHIFT) - 1)

/* A meter of gas alone: the most that it shows, and the cost that is more than that. */
#define METER_PLAIN_MAX ((uint64_t)INT32_MAX - 1)
#define METER_PLAIN_ASK ((uint64_t)INT32_MAX)

/* The cost of a block that the meter cannot express: the entry always asks. */
#define METER_ASK ((uint64_t)1 << 63)

enum native_exit {
    EXIT_GAS = 0,
    EXIT_STEP = 1,
    EXIT_GOTO = 2,
    EXIT_CALL = 3,
    EXIT_LOST = 4,   /* of the C side: the worker is lost */
    EXIT_SHIFT = 28, /* the exit above, the number of a block or site below */
    EXIT_INDEX = (1 << EXIT_SHIFT) - 1,
};

/* Shared with native code, which reaches it at NATIVE_CONTEXT from gs. */
struct native_context {
    uint64_t reg[PVM_REG_COUNT]; /* in a worker: guest registers */
    uint64_t regs;               /* where guest registers are: there, or in a state */
    uint64_t meter;
    uint64_t acc;
    uint64_t exit;     /* enum native_exit and index */
    uint64_t resume;   /* address to enter at */
    uint64_t host_rsp; /* of the C side */
    uint64_t log_rsp;  /* top of the list of table jumps, which grows downwards */
    uint64_t log_end;  /* where it is full */
    uint64_t log_start;
    uint64_t path;       /* where the next word of outcomes goes */
    uint64_t path_end;   /* and where the list is full */
    uint64_t path_room;  /* outcomes that the segment still takes */
    uint64_t path_slice; /* blocks between two words */
    uint64_t path_low;   /* gas that is enough for so many */
    uint64_t path_more;  /* more gas can be shown: ask when it is less */
    uint64_t base;       /* of guest memory */
    uint64_t parked;     /* what xmm3 held at a fault */
};

enum {
    NATIVE_AREA_SIZE = 1 << 16, /* right below the rights of mem.h */
    NATIVE_STACK_GUARD = 4096,  /* a worker's stack is above this page of the area */
    NATIVE_LOG_OFFSET = 8256,   /* of the list's lower end in the area, with room below
                                   for what leaving a full list pushes */
    NATIVE_PATH_OFFSET = 49152, /* of the words of branch outcomes */
};
#define NATIVE_CONTEXT (-(MEM_LINE_COUNT + NATIVE_AREA_SIZE))

/* A place in the code that C must know: an access, or where code asks. */
struct native_site {
    uint32_t at; /* offset of the access, or of the instruction's code */
    uint32_t pc; /* EXIT_GOTO: where to go on */
    union {
        uint32_t block; /* number of its block */
        uint32_t call;  /* of a call: of what else is known of it */
    };
    uint32_t index;      /* instructions before it in the block */
    uint16_t size;       /* bytes from there to behind the instruction's code */
    unsigned count : 7;  /* instructions that its code executes at once */
    unsigned parked : 1; /* what r15 is elsewhere is in xmm3 */
    uint8_t op;          /* of a call; else 0 */
};

struct native_call {
    uint32_t block;
    int32_t x;     /* the immediate */
    uint32_t left; /* visits of the block from it on, if known; else 0 */
    uint8_t size;  /* of the instruction */
    bool ends;     /* the block, in this profile */
};

struct native_block {
    uint32_t pc;
    uint32_t label; /* offset of its gas check; until that is there, of the last jump to
                       it, whose displacement is the offset of the one before, or 0 */
    uint32_t entry; /* offset behind the check */
};

/* The code of an instruction, a gas check in front of it included. */
struct native_place {
    uint32_t pc, at, end;
};

struct native_unit {
    uint8_t *code;                /* tables, then code; below 2 GiB */
    uint32_t code_size;           /* bytes in use */
    uint32_t enter, leave, flush; /* offsets */
    uint32_t faulted;             /* what a fault becomes, which leaves */
    uint32_t underflow, strayed;  /* of returns; native_unit.pairs */
    uint32_t cost_stride; /* bytes between the costs of blocks, at the code's start */
    uint32_t cost_max;    /* the most that an entry asks for, METER_ASK apart */
    uint32_t path_slice;  /* of the context */
    struct pvm_recomp_options options; /* but for what the program alone knows */
    bool sandboxed;                    /* it runs in a worker */
    bool keeps_path, keeps_hash;       /* by the gas log */
    bool pages_cost;                   /* entries test the reserve first */
    bool plain_meter;                  /* of gas alone */
    bool pairs;                        /* calls and returns are the host's */
    bool based;                        /* BASE is the base of guest memory */
    bool table_has_holes;              /* a table jump may lead nowhere */
    const uint64_t *hash_factor;       /* in the code memory */
    struct native_block *block;
    struct native_site *site;
    struct native_call *call;
    struct native_place *place; /* options.keep_map */
    uint32_t block_count, site_count, call_count, place_count;
    const uint32_t *rank; /* blocks before each 64 bytes of code */
    void *tables;         /* the reservation that holds all of these */
    size_t tables_size;
    struct os_code *memory;
    struct pvm_recomp_workspace *workspace; /* whose memory this is; NULL: its own */
    uint64_t id;                            /* for sandbox.h */
};

/* A block's cost in the meter's units; with page gas that of its reserve behind it. */
static inline const uint64_t *native_cost(const struct native_unit *unit,
                                          uint32_t block)
{
    return (const uint64_t *)(const void *)(unit->code +
                                            (size_t)block * unit->cost_stride);
}

static inline uint32_t native_site_block(const struct native_unit *unit,
                                         const struct native_site *site)
{
    return site->op ? unit->call[site->call].block : site->block;
}

/* Where the code of the instruction behind a site's begins. */
static inline uint32_t native_site_next(const struct native_site *site)
{
    return site->at + site->size;
}

/* The gas in a word of the meter, or in a cost. */
static inline uint64_t native_gas_of(uint64_t meter)
{
    return meter >> METER_GAS_SHIFT & METER_GAS_MAX;
}

/* The number of the block that starts at `pc`, which is a block start. */
static inline uint32_t native_block_at(const struct pvm_program *program, uint32_t pc)
{
    uint64_t below = program->start[pc / 64] & (((uint64_t)1 << pc % 64) - 1);
    return program->unit->rank[pc / 64] + mask_count(below);
}

/* Guest registers: ra sp t0 t1 t2 s0 s1 a0 a1 a2 a3 a4 a5. */
#define NATIVE_REGS(ROW)                                                               \
    ROW(R14)                                                                           \
    ROW(RBP)                                                                           \
    ROW(R10)                                                                           \
    ROW(R11)                                                                           \
    ROW(R12)                                                                           \
    ROW(RBX) ROW(R13) ROW(RDI) ROW(RSI) ROW(R8) ROW(R9) ROW(RAX) ROW(NATIVE_REG_LAST)
#define NATIVE_REG_NUMBER(reg) reg,
#define NATIVE_REG_LAST RCX
#define NATIVE_REG                                                                     \
    {                                                                                  \
        NATIVE_REGS(NATIVE_REG_NUMBER)                                                 \
    }
enum { SCRATCH = RDX, METER = R15, ACC = R15, BASE = R15, STACK = R15, SP = RBP };

/* ---- compiling ---- */

/* Of functions that loop over instructions, so that each has the host's registers for
 * itself, and of what is called so seldom that its caller shall need no stack frame. */
#define NATIVE_NOINLINE __attribute__((noinline))

/* An instruction with host registers in place of the guest's. */
struct native_insn {
    uint8_t op;
    uint8_t a, b, d;
    uint32_t pc;
    int64_t x;
    int64_t target;
    int32_t y;
    uint8_t size;
};

/* Instructions of the current block that are decoded and not emitted yet: fusing looks
 * NATIVE_WINDOW_AHEAD of them ahead.  And what the block costs up to there. */
enum { NATIVE_WINDOW_SIZE = 64, NATIVE_WINDOW_AHEAD = 12 };
struct native_window {
    struct native_insn insn[NATIVE_WINDOW_SIZE + 1]; /* and one to look at behind any */
    uint32_t end;
    uint64_t stores; /* counted where pages cost gas */
    struct gas_meter meter;
};

struct native_stub {
    uint32_t jump; /* offset of the displacement to patch */
    uint32_t exit; /* what the stub tells */
};

/* Bytes from sp, low..end, whose pages accesses of the current block have met. */
struct native_reach {
    int64_t low, end;
};
#define NATIVE_NOWHERE ((struct native_reach){INT64_MAX, INT64_MIN})

/* Instructions that recomp_carry.c emits as one: which of them makes a carry and which
 * uses it (0: none), and a load (0: none) that goes first. */
struct native_carry {
    uint32_t made, use, load;
    bool sum;     /* the first one adds, and the next one tells the carry */
    bool product; /* the first one and the one behind the carry multiply the same */
};

/* How the accesses of a block go. */
enum native_way {
    BY_GS,
    BY_GS_CHECKED, /* with tests in front of them: explicit checks */
    BY_BASE,
    BY_STACK, /* those near sp, the others by gs */
};

/* What r15 is inside a block. */
enum native_stack {
    STACK_AWAY, /* as everywhere else */
    STACK_HERE, /* where sp points to, in host memory; its own value is in xmm3 */
    STACK_PAST, /* the same of what sp was */
};

struct native_compiler;
typedef void native_emit_fn(struct native_compiler *c, const struct native_insn *i);

/* The compiler: everything it appends to has room (recomp_compile.c sees to it). */
struct native_compiler {
    struct x64 as;
    const struct pvm_program *program;
    struct native_unit *unit;
    unsigned features; /* enum os_cpu_feature */
    uint32_t block;    /* the one that is being compiled */
    uint32_t before;   /* instructions of it before the one at `first` */
    const struct native_insn *first;
    struct native_site *site; /* where the next one goes */
    uint8_t *check_cost;      /* the immediate cost of the current block, to patch */
    uint8_t check_size;       /* its bytes */
    uint64_t visits;          /* of the current block, if known; else 0 */
    uint32_t jump_table;      /* address of native table-jump targets */
    const uint8_t *limit;     /* of the code memory */
    const void *site_limit;
    uint8_t *code_ready, *site_ready; /* pages before these are there */
    native_emit_fn *emitter[256];
    struct native_stub *stub;
    uint32_t stub_count;
    enum native_way way;                    /* of the current block's accesses */
    enum native_stack stack;                /* STACK_AWAY between blocks */
    uint32_t stack_site;                    /* sites before it became anything else */
    bool joins;                             /* the last block ended in a fallthrough */
    bool parts;                             /* or in a jump away */
    struct native_reach readable, writable; /* recomp_seen.c; before this one: */
    const struct native_insn *noted;
    struct native_carry carry; /* of what is emitted as one now */
    unsigned dead; /* host registers of which nobody sees what that leaves in them */
    /* At this place of the code the carry flag is flags_sum < flags_summand. */
    const uint8_t *flags_at;
    unsigned flags_sum, flags_summand;
};

/* Emitters by opcode; pvm_native_ask() is a hole, which the interpreter fills.  Which
 * are there depends on the CPU.  Each ends the sites that it makes. */
void pvm_native_emitters(unsigned features, native_emit_fn *ret_emitter[256]);
void pvm_native_alu_emitters(unsigned features, native_emit_fn *emitter[256]);
void pvm_native_memory_emitters(native_emit_fn *emitter[256]);

/* A load by `i`, from gs:[base + index * 2^scale + i->x] instead of its own address;
 * `first` is the first one of what is emitted with it. */
void pvm_native_load_indexed(struct native_compiler *c, const struct native_insn *first,
                             const struct native_insn *i, unsigned base, unsigned index,
                             unsigned scale);

/* A load_ind by `i`, likewise. */
void pvm_native_load(struct native_compiler *c, const struct native_insn *first,
                     const struct native_insn *i);

/* Both of `i`, a load_ind_u64 and what computes with its result: `opcode` d, [...]. */
void pvm_native_combine(struct native_compiler *c, const struct native_insn *i,
                        unsigned opcode, unsigned d);
void pvm_native_control_emitters(native_emit_fn *emitter[256]);

/* Have the interpreter execute `i`, always. */
void pvm_native_ask(struct native_compiler *c, const struct native_insn *i);

/* Emit some of the `count` (2 at least) instructions at `i` as one, if
 * native_may_fuse() and a row of recomp_fuse.c matches them; answers how many.  1:
 * none, and nothing has been emitted.  The more there are to look at, the better:
 * whether a result is still needed is told by those behind. */
enum { NATIVE_FUSED_MAX = 7 };
uint32_t pvm_native_fuse(struct native_compiler *c, const struct native_insn *i,
                         uint32_t count);

/* The same for what has to do with carries; matching sets c->carry. */
uint32_t pvm_native_match_carry(struct native_compiler *c, const struct native_insn *i,
                                uint32_t count);
void pvm_native_emit_carry(struct native_compiler *c, const struct native_insn *i,
                           uint32_t count);

/* More than any number of a host register. */
enum { NATIVE_NO_REGISTER = 16 };

/* Is r overwritten, behind the first `first` of `count` instructions, before anybody
 * can see it?  False where the window ends, or what is looked at. */
bool pvm_native_is_dead(struct native_compiler *c, unsigned r,
                        const struct native_insn *i, uint32_t first, uint32_t count);

/* Can a whole block be waiting for a load, because an address or its branch depends on
 * one?  False only for loops of one block, with one store at most. */
bool pvm_native_waits(const struct native_insn *i, uint32_t count);

/* Shall a block that begins like this go BY_STACK?  Not if it is shorter than that. */
enum { NATIVE_STACKED_MIN = 32 };
bool pvm_native_is_stacked(const struct native_insn *i, uint32_t count);

/* Can an access at sp + x go by STACK, where that is? */
static inline bool native_is_near(int64_t x)
{
    return x >= MUTANT(native_stack_below, INT32_MIN, 0) &&
           x <= MUTANT(native_stack_far, INT32_MAX, MEM_GUARD_SIZE - 8);
}

/* In a block that goes BY_STACK: make r15 STACK, for accesses from here on; and what it
 * is elsewhere, in front of what may leave the code on purpose. */
void pvm_native_stack_take(struct native_compiler *c);
void pvm_native_stack_leave(struct native_compiler *c);

/* Emit: r15 into xmm3, and back. */
void pvm_native_park(struct native_compiler *c);
void pvm_native_unpark(struct native_compiler *c);

/* Emit: r15 = where sp points to. */
void pvm_native_point(struct native_compiler *c);

/* Instructions of the current block before `i`. */
static inline uint32_t native_index(const struct native_compiler *c,
                                    const struct native_insn *i)
{
    return c->before + (uint32_t)(i - c->first);
}

/* A site at the current place, of an instruction at `pc` that `index` of its block are
 * before; of that size, unless native_sites_end() tells it. */
static inline struct native_site *
native_site_add(struct native_compiler *c, uint32_t pc, uint32_t index, unsigned size)
{
    struct native_unit *unit = c->unit;
    struct native_site *site = c->site;
    site->at = (uint32_t)(c->as.at - unit->code);
    site->pc = MUTANT(native_site_pc, unit->block[c->block].pc, pc);
    site->block = c->block;
    site->index = index + MUTANT(native_site_index, 1, 0);
    site->size = (uint16_t)size;
    site->count = 1;
    site->parked = 0;
    site->op = 0;
    c->site = site + 1;
    return site;
}

static inline struct native_site *
native_site(struct native_compiler *c, const struct native_insn *i, unsigned size)
{
    return native_site_add(c, i->pc, native_index(c, i), size);
}

static inline uint32_t native_site_number(const struct native_compiler *c,
                                          const struct native_site *site)
{
    return (uint32_t)(site - c->unit->site);
}

/* The code of the instruction that the sites from `site` on are of ends here. */
static inline void native_sites_end(struct native_compiler *c, struct native_site *site)
{
    uint32_t end = (uint32_t)(c->as.at - c->unit->code);
    for (site += MUTANT(native_site_next, 1, 0); site < c->site; site++)
        site->size = (uint16_t)(end - site->at);
}

/* Does the interpreter execute all of them? */
static inline bool native_is_hole(const struct native_compiler *c, uint8_t op)
{
    return c->emitter[op] == pvm_native_ask;
}

/* A conditional jump out to the stub that has the interpreter execute `i`.  The site
 * that this makes is the caller's to end. */
void pvm_native_ask_if(struct native_compiler *c, const struct native_insn *i,
                       unsigned cond);

/* Behind the last instruction of a block, go on at pc: a block start, or a position
 * that pays for a trap. */
void pvm_native_flow_to(struct native_compiler *c, uint32_t pc);

/* A new block. */
static inline void native_window_begin(struct native_window *w,
                                       const struct pvm_config *config)
{
    w->end = 0;
    w->stores = 0;
    pvm_gas_meter_begin(&w->meter, config);
}

/* Decode from `pc`, which is `marked` or may not be, until the block ends or the window
 * is full, one instruction at least; a trap where there is none.  Answers whether the
 * block has ended. */
bool pvm_native_window_fill(const struct native_compiler *c, struct native_window *w,
                            uint32_t pc, bool marked);

/* The code that C calls to enter native code and that stubs leave it by. */
void pvm_native_frame(struct native_compiler *c);

/* Have faults of native code on this process's guest memory answered (recomp_run.c).
 * As os_fault_handler_add(). */
ERR_MUST_CHECK enum err pvm_native_take_faults(void);

/* The gas check of the current block. */
void pvm_native_check(struct native_compiler *c);

/* Lay the tables of the program's unit out in a reservation, which is larger than what
 * they will take; with NULL only say how large.  Sets the unit's and c's pointers. */
size_t pvm_native_tables(struct native_compiler *c, void *reservation);

/* Bytes that the unit takes, without its own struct. */
size_t pvm_native_bytes(const struct native_unit *unit);

/* Code memory that is enough for all but the strangest programs, in bytes. */
size_t pvm_native_code_size(const struct native_compiler *c);

/* Compile into unit->code up to c->limit.  False: that is too small. */
bool pvm_native_compile(struct native_compiler *c);

#endif
