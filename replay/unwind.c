/* SPDX-License-Identifier: MIT */
#include "replay/unwind.h"

#include "replay/debug_pvm.h"

#include <string.h>

enum {
    RA = 0,
    SP = 1,
    S0 = 5,
    S1 = 6,
    KEPT = 1 << SP | 1 << S0 | 1 << S1, /* by calls (RISC-V psABI) */
    KNOWN_ALL = (1 << PVM_REG_COUNT) - 1,
    STEPS_MAX = 20000,
    WAYS_MAX = 64,
    SEEN_SIZE = 4096, /* a power of two */
    STORE_MAX = 32,
};

/* One way through the function. */
struct way {
    uint32_t pc, known;
    uint64_t reg[PVM_REG_COUNT];
    /* What this way has stored, of eight bytes each: the first ones, which are those
     * that a function saves at its start. */
    struct store {
        uint64_t address, value;
        bool known;
    } store[STORE_MAX];
    unsigned store_count;
    bool dropped; /* there were more */
};

struct search {
    const struct replay_unwind *from;
    struct way way[WAYS_MAX]; /* not yet gone; the last one first */
    unsigned way_count;
    uint64_t seen[SEEN_SIZE]; /* where jumps have led, and with what; 0: free */
};

void replay_unwind_begin(struct replay_unwind *u, const struct pvm_code *code,
                         enum pvm_profile profile, const struct pvm_state *state)
{
    *u = (struct replay_unwind){.code = code,
                                .profile = profile,
                                .mem = state->mem,
                                .pc = state->pc,
                                .known = KNOWN_ALL};
    memcpy(u->reg, state->reg, sizeof u->reg);
}

/* ---- registers ---- */

static bool knows(const struct way *way, unsigned reg)
{
    return way->known >> reg & 1;
}

static void forget(struct way *way, unsigned reg)
{
    way->known &= ~(1u << reg);
}

static void learn(struct way *way, unsigned reg, uint64_t value, bool known)
{
    way->reg[reg] = value;
    way->known = (way->known & ~(1u << reg)) | (uint32_t)known << reg;
}

/* ---- the stack ---- */

static struct store *stored(struct way *way, uint64_t address)
{
    for (unsigned i = 0; i < way->store_count; i++) {
        if (way->store[i].address == address)
            return &way->store[i];
    }
    return NULL;
}

static void store(struct way *way, const struct pvm_insn *insn)
{
    uint64_t address = (uint32_t)(way->reg[insn->b] + (uint64_t)insn->x);
    if (!knows(way, insn->b))
        return; /* not the frame's own place, which is known by sp */
    struct store *to = stored(way, address);
    if (!to && way->store_count < STORE_MAX)
        to = &way->store[way->store_count++];
    if (to)
        *to = (struct store){address, way->reg[insn->a], knows(way, insn->a)};
    else
        way->dropped = true;
}

static void load(const struct search *s, struct way *way, const struct pvm_insn *insn)
{
    uint64_t address = (uint32_t)(way->reg[insn->b] + (uint64_t)insn->x), value = 0;
    const struct store *own = stored(way, address);
    uint8_t bytes[8];
    /* What lies below the stack is not yet what will be read there. */
    if (!knows(way, insn->b) || (!own && way->dropped && address < s->from->reg[SP])) {
        forget(way, insn->a);
        return;
    }
    if (own) {
        learn(way, insn->a, own->value, own->known);
        return;
    }
    bool there = replay_debug_pvm_read(s->from->mem, address, bytes, 8) == 8;
    for (unsigned i = 8; there && i-- > 0;)
        value = value << 8 | bytes[i];
    learn(way, insn->a, value, there);
}

/* ---- instructions ---- */

/* The register that an instruction changes, if it does; calls apart. */
static bool changes(const struct pvm_insn *insn, unsigned *ret_reg)
{
    const struct pvm_op_info *info = &pvm_op_info[insn->op];
    switch (info->format) {
    case PVM_FORMAT_D_A:
    case PVM_FORMAT_D_A_B:
        *ret_reg = insn->d;
        return true;
    case PVM_FORMAT_A_X64:
    case PVM_FORMAT_A_X:
    case PVM_FORMAT_A_B_X:
        *ret_reg = insn->a;
        return !(info->flags & (PVM_OP_STORE | PVM_OP_DYN));
    case PVM_FORMAT_NONE:
    case PVM_FORMAT_X:
    case PVM_FORMAT_X_Y:
    case PVM_FORMAT_T:
    case PVM_FORMAT_A_X_Y:
    case PVM_FORMAT_A_X_T:
    case PVM_FORMAT_A_B_T:
    case PVM_FORMAT_A_B_X_Y:
    default:
        return false;
    }
}

/* What is needed to follow sp, and ra through the stack and other registers. */
static void compute(const struct search *s, struct way *way,
                    const struct pvm_insn *insn)
{
    uint64_t a = way->reg[insn->a], b = way->reg[insn->b];
    bool both = knows(way, insn->a) && knows(way, insn->b);
    unsigned reg;
    switch (insn->op) {
    case PVM_OP_load_imm:
    case PVM_OP_load_imm_64:
        learn(way, insn->a, (uint64_t)insn->x, true);
        break;
    case PVM_OP_move_reg:
        learn(way, insn->d, a, knows(way, insn->a));
        break;
    case PVM_OP_add_imm_64:
        learn(way, insn->a, b + (uint64_t)insn->x, knows(way, insn->b));
        break;
    case PVM_OP_add_64:
        learn(way, insn->d, a + b, both);
        break;
    case PVM_OP_sub_64:
        learn(way, insn->d, a - b, both);
        break;
    case PVM_OP_load_ind_u64:
        load(s, way, insn);
        break;
    case PVM_OP_store_ind_u64:
        store(way, insn);
        break;
    default:
        if (changes(insn, &reg))
            forget(way, reg);
    }
}

/* The place that a dynamic address leads to [pvm-exec 4.2]; false: to none. */
static bool target_of(const struct search *s, uint64_t address, uint32_t *ret_pc)
{
    const struct pvm_code *code = s->from->code;
    uint32_t low = (uint32_t)address;
    if (!low || low % 2 || low / 2 > code->jump_count)
        return false;
    uint64_t pc = pvm_code_jump(code, low / 2 - 1);
    *ret_pc = (uint32_t)pc;
    return pc <= UINT32_MAX && pvm_code_ok(code, s->from->profile, (uint32_t)pc);
}

/* Has a way that knows as much of ra been there?  Then this one finds nothing new. */
static bool was_seen(struct search *s, const struct way *way, uint32_t pc)
{
    uint64_t key = ((uint64_t)pc << 2) + (knows(way, RA) ? 3 : 1);
    uint32_t at = (pc * UINT32_C(2654435761)) >> 20;
    for (unsigned i = 0; i < SEEN_SIZE; i++) {
        uint64_t *slot = &s->seen[(at + i) % SEEN_SIZE];
        if (*slot == key)
            return true;
        if (!*slot) {
            *slot = key;
            return false;
        }
    }
    return true;
}

/* Note the way that a branch may take, to be gone later. */
static void part(struct search *s, const struct way *way, int64_t target)
{
    if (s->way_count == WAYS_MAX || target < 0 || target > UINT32_MAX ||
        was_seen(s, way, (uint32_t)target))
        return;
    s->way[s->way_count] = *way;
    s->way[s->way_count++].pc = (uint32_t)target;
}

/* A call, of a function or of the host, and how it goes on behind it. */
static bool pass_call(const struct search *s, struct way *way, uint64_t returns_to)
{
    way->known &= KEPT;
    return target_of(s, returns_to, &way->pc);
}

enum step { STEP_ON, STEP_RETURN, STEP_LOST };

static enum step jump(struct search *s, struct way *way, const struct pvm_insn *insn)
{
    unsigned flags = pvm_op_info[insn->op].flags;
    switch (insn->op) {
    case PVM_OP_load_imm_jump:
    case PVM_OP_load_imm_jump_ind:
        return pass_call(s, way, (uint64_t)insn->x) ? STEP_ON : STEP_LOST;
    case PVM_OP_jump_ind:
        if (insn->a == RA && !insn->x)
            return knows(way, RA) && knows(way, SP) ? STEP_RETURN : STEP_LOST;
        /* A switch, whose cases are what follows; or, with ra and sp as the caller's, a
         * call at the end, where any other return will do as well. */
        way->pc += insn->size;
        return STEP_ON;
    case PVM_OP_jump:
        if (insn->target < 0 || insn->target > UINT32_MAX ||
            was_seen(s, way, (uint32_t)insn->target))
            return STEP_LOST;
        way->pc = (uint32_t)insn->target;
        return STEP_ON;
    default:
        if (flags & PVM_OP_SINK)
            return STEP_LOST;
        if (flags & PVM_OP_COND)
            part(s, way, insn->target);
        if (flags & PVM_OP_CALL) /* the host changes what it answers in */
            way->known &= KEPT | 1 << RA;
        way->pc += insn->size;
        return STEP_ON;
    }
}

/* Follow a way; true: to a return whose place is known. */
static bool follow(struct search *s, struct way *way, unsigned *steps)
{
    struct pvm_insn insn;
    while (++*steps < STEPS_MAX &&
           pvm_insn_decode(s->from->code, s->from->profile, way->pc, &insn)) {
        compute(s, way, &insn);
        enum step step = jump(s, way, &insn);
        if (step != STEP_ON)
            return step == STEP_RETURN && target_of(s, way->reg[RA], &way->pc);
    }
    return false;
}

bool replay_unwind_next(struct replay_unwind *u)
{
    struct search s = {.from = u, .way_count = 1};
    unsigned steps = 0;
    s.way[0] = (struct way){.pc = u->pc, .known = u->known};
    memcpy(s.way[0].reg, u->reg, sizeof u->reg);
    while (s.way_count && steps < STEPS_MAX) {
        struct way way = s.way[--s.way_count];
        if (!follow(&s, &way, &steps) || way.reg[SP] < u->reg[SP])
            continue;
        u->pc = way.pc;
        u->known = way.known & KEPT;
        memcpy(u->reg, way.reg, sizeof u->reg);
        return true;
    }
    return false;
}

/* What the call in front of `pc` calls, in the code; false: it is none, or has its
 * target from a register. */
static bool called_from(const struct replay_unwind *u, uint32_t *ret_entry)
{
    struct pvm_insn insn;
    for (uint32_t size = 1; size <= PVM_INSN_SIZE_MAX && size <= u->pc; size++) {
        if (!pvm_code_ok(u->code, u->profile, u->pc - size) ||
            !pvm_insn_decode(u->code, u->profile, u->pc - size, &insn))
            continue;
        if (insn.op != PVM_OP_load_imm_jump || insn.size != size || insn.target < 0)
            return false;
        *ret_entry = (uint32_t)insn.target;
        return true;
    }
    return false;
}

size_t replay_unwind_list(const struct pvm_code *code, enum pvm_profile profile,
                          const struct pvm_state *state, struct replay_frame at,
                          struct replay_frame *frame, size_t max)
{
    struct replay_unwind u;
    size_t count = 0;
    uint64_t base = at.pc - state->pc;
    replay_unwind_begin(&u, code, profile, state);
    while (count < max) {
        at.pc = base + u.pc;
        at.sp = u.reg[SP];
        /* A return to itself with nothing given back goes on for ever. */
        if (count && frame[count - 1].pc == at.pc && frame[count - 1].sp == at.sp)
            break;
        frame[count++] = at;
        uint32_t entry;
        if (!replay_unwind_next(&u))
            break;
        if (called_from(&u, &entry))
            frame[count - 1].entry = base + entry;
    }
    return count;
}
