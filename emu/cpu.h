/* SPDX-License-Identifier: MIT
 *
 * emu/cpu.h - the i386 processor of the pc guest (machine.md chapters 4 to 6).
 *
 * A processor executes steps on a RAM and talks to the board through a bus table.  It
 * knows ports, one interrupt line and an acknowledge cycle, but no device and no
 * clock: virtual time is a function of the steps executed (5.1).
 *
 * The state is plain data: emu/state.def lists it, emu_cpu_loaded() takes it over after
 * somebody else wrote it.  What is derived from it (host views, decoded blocks) is
 * private and never visible to the guest.  Nothing is allocated after creation.  One
 * thread.
 */
#ifndef EMU_CPU_H
#define EMU_CPU_H

#include "base/arena.h"
#include "base/err.h"
#include "emu/fpu.h"
#include "emu/place.h"
#include "emu/ram.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* General registers in the order of their encoding. */
enum { EMU_EAX, EMU_ECX, EMU_EDX, EMU_EBX, EMU_ESP, EMU_EBP, EMU_ESI, EMU_EDI };

/* Segment registers in the order of their encoding, then the two system ones. */
enum {
    EMU_ES,
    EMU_CS,
    EMU_SS,
    EMU_DS,
    EMU_FS,
    EMU_GS,
    EMU_LDTR,
    EMU_TR,
    EMU_SEGMENT_COUNT,
};

/* EFLAGS */
#define EMU_FLAG_CF 0x00000001u
#define EMU_FLAG_PF 0x00000004u
#define EMU_FLAG_AF 0x00000010u
#define EMU_FLAG_ZF 0x00000040u
#define EMU_FLAG_SF 0x00000080u
#define EMU_FLAG_TF 0x00000100u
#define EMU_FLAG_IF 0x00000200u
#define EMU_FLAG_DF 0x00000400u
#define EMU_FLAG_OF 0x00000800u
#define EMU_FLAG_IOPL 0x00003000u
#define EMU_FLAG_NT 0x00004000u
#define EMU_FLAG_RF 0x00010000u
#define EMU_FLAG_VM 0x00020000u
#define EMU_FLAG_AC 0x00040000u
#define EMU_FLAG_ID 0x00200000u
#define EMU_FLAGS_ARITH 0x000008d5u /* CF PF AF ZF SF OF */

#define EMU_CR0_PE 0x00000001u
#define EMU_CR0_MP 0x00000002u
#define EMU_CR0_EM 0x00000004u
#define EMU_CR0_TS 0x00000008u
#define EMU_CR0_ET 0x00000010u
#define EMU_CR0_NE 0x00000020u
#define EMU_CR0_WP 0x00010000u
#define EMU_CR0_AM 0x00040000u
#define EMU_CR0_PG 0x80000000u
#define EMU_CR4_TSD 0x00000004u
#define EMU_CR4_PSE 0x00000010u
#define EMU_CR4_PGE 0x00000080u

/* CPUID leaf 1, EDX: what pc.cpu may offer (2.3). */
#define EMU_FEATURE_FPU 0x00000001u
#define EMU_FEATURE_PSE 0x00000008u
#define EMU_FEATURE_TSC 0x00000010u
#define EMU_FEATURE_MSR 0x00000020u
#define EMU_FEATURE_CX8 0x00000100u
#define EMU_FEATURE_SEP 0x00000800u
#define EMU_FEATURE_PGE 0x00002000u
#define EMU_FEATURE_CMOV 0x00008000u
#define EMU_FEATURES_ALL 0x0000a939u

/* A segment register with its cached descriptor.  `attributes` are descriptor bits 8-15
 * (type, S, DPL, P) and, in bits 12-15, descriptor bits 20-23 (AVL, 0, D/B, G); `limit`
 * is in bytes.  A null selector has attributes 0. */
struct emu_segment {
    uint16_t selector;
    uint16_t attributes;
    uint32_t base;
    uint32_t limit;
    uint32_t unchecked; /* derived: bit 0 reads, bit 1 writes need no check */
};

struct emu_table { /* GDTR, IDTR */
    uint32_t base;
    uint16_t limit;
};

/* An entry of the architectural TLB (4.6).  `page` is the linear page with bit 0 set,
 * or 0 for none; `frame` the physical page with EMU_TLB_* bits. */
struct emu_tlb_entry {
    uint32_t page;
    uint32_t frame;
};

#define EMU_TLB_USER 1u
#define EMU_TLB_WRITABLE 2u
#define EMU_TLB_DIRTY 4u
#define EMU_TLB_GLOBAL 8u
#define EMU_TLB_BIG 16u

enum { EMU_ITLB_SIZE = 256, EMU_DTLB_SIZE = 1024 };

/* Bits of emu_cpu.shadow: what the previous step does to the next boundary (4.2). */
#define EMU_SHADOW_INTR 1u  /* STI, MOV SS, POP SS: no interrupt */
#define EMU_SHADOW_DEBUG 2u /* MOV SS, POP SS: no #DB either */
#define EMU_SHADOW_TRAP 4u  /* a trap (#DB) waits; DR6 says why */

/* The board, as the processor sees it.  `now` of a port access is emu_cpu_vns(): icount
 * and halted_ns are exact during each call.  No member may be NULL. */
struct emu_cpu_bus {
    void *context;
    /* `size` is 1, 2 or 4; the value is zero-extended. */
    uint32_t (*port_read)(void *context, uint16_t port, unsigned size);
    void (*port_write)(void *context, uint16_t port, uint32_t value, unsigned size);
    /* The vector of the interrupt that is delivered now. */
    uint8_t (*acknowledge)(void *context);
    /* An x87 exception waits and CR0.NE is 0: raise FERR, that is IRQ 13. */
    void (*fpu_error)(void *context);
};

struct emu_cpu_config {
    uint32_t ns_per_insn; /* 1 to 1000 */
    uint32_t features;    /* EMU_FEATURE_* */
};

struct emu_engine;
struct emu_block;
struct emu_view;
struct emu_fetch;
struct emu_return;

struct emu_cpu {
    /* State, to be saved and compared.  Outside of emu_cpu_run() all of it is exact. */
    union {
        uint32_t reg[9]; /* [8] is always zero: "no register" of an address */
        uint16_t half[18];
        uint8_t byte[36];
    };
    uint32_t eip;
    uint32_t eflags;
    struct emu_segment segment[EMU_SEGMENT_COUNT];
    struct emu_table gdtr, idtr;
    uint32_t cr0, cr2, cr3, cr4;
    uint32_t dr[8]; /* 4 and 5 unused */
    uint64_t tsc_offset;
    uint32_t sysenter_cs, sysenter_esp, sysenter_eip;
    uint32_t shadow; /* EMU_SHADOW_* */
    bool halted;
    uint64_t halted_ns;
    uint64_t icount;
    uint64_t sub;
    struct emu_fpu fpu;
    struct emu_tlb_entry itlb[EMU_ITLB_SIZE];
    struct emu_tlb_entry dtlb[EMU_DTLB_SIZE];

    /* Configuration. */
    struct emu_cpu_config config;
    struct emu_cpu_bus bus;
    struct emu_ram *ram;

    /* Recomputed by whoever loads a state. */
    bool intr; /* emu_cpu_set_intr */

    /* Derived, private to the processor (emu/engine.h). */
    struct emu_view *view;   /* host views for data at the current privilege */
    struct emu_fetch *fetch; /* the same for instruction fetch */
    uint32_t flag_result;    /* lazy arithmetic flags */
    uint32_t flag_carries;
    uint64_t budget;     /* steps that blocks may still take */
    uint32_t block_eip;  /* EIP of the first instruction of the running block */
    uint32_t stack_mask; /* ffff or ffffffff, by SS.B */
    uint32_t privilege;
    uint32_t code_mode; /* EMU_MODE_* */
    bool stop;
    struct emu_block *block;    /* the running one */
    struct emu_block **blocks;  /* the known ones */
    struct emu_return *returns; /* of the last calls, a ring */
    uint32_t return_top;
    struct emu_engine *engine;
};

/* Why emu_cpu_run came back. */
enum emu_run_reason {
    EMU_RUN_LIMIT,        /* the place is reached */
    EMU_RUN_HALTED,       /* HLT, and no interrupt can be delivered now */
    EMU_RUN_STOPPED,      /* emu_cpu_stop was called */
    EMU_RUN_TRIPLE_FAULT, /* state as before the last delivery */
    EMU_RUN_YIELD,        /* inside a long `rep`; call again */
    EMU_RUN_BREAKPOINT,   /* before an instruction at a breakpoint */
};

/* A processor in `arena` on borrowed RAM, after reset.  `cache_size` is the memory for
 * decoded code in bytes (at least 64 KiB); it changes nothing that a guest can see.
 * ERR_nomem, ERR_usage. */
enum err emu_cpu_create(struct arena *arena, const struct emu_cpu_config *config,
                        struct emu_ram *ram, const struct emu_cpu_bus *bus,
                        size_t cache_size, struct emu_cpu **ret_cpu) ERR_MUST_CHECK;

/* Power on: real mode, CS f000 with base f0000, IP fff0, EDX 633 (3.3 `rom`), clocks 0.
 * RAM is left alone. */
void emu_cpu_reset(struct emu_cpu *cpu);

/* Take over state that somebody else wrote into the fields above. */
void emu_cpu_loaded(struct emu_cpu *cpu);

/* Set one segment register from parts; for boot code. */
void emu_cpu_set_segment(struct emu_cpu *cpu, unsigned segment, uint16_t selector,
                         uint32_t base, uint32_t limit, uint16_t attributes);

/* Execute until `limit` steps have been counted since reset, or another reason. */
enum emu_run_reason emu_cpu_run(struct emu_cpu *cpu, uint64_t limit_icount);

/* The same up to a place that may lie inside a `rep`. */
enum emu_run_reason emu_cpu_run_to(struct emu_cpu *cpu, struct emu_place limit);

/* At most one step or one `rep` iteration. */
enum emu_run_reason emu_cpu_step(struct emu_cpu *cpu);

/* The interrupt line of the 8259A.  It is sampled at step boundaries. */
void emu_cpu_set_intr(struct emu_cpu *cpu, bool raised);

/* Called by a device inside a port access: no further step is executed by this run. */
void emu_cpu_stop(struct emu_cpu *cpu);

/* Virtual nanoseconds: icount * ns_per_insn + halted_ns (5.1). */
uint64_t emu_cpu_vns(const struct emu_cpu *cpu);

/* Debugger: translate without filling the TLB or setting bits.  False if not mapped. */
bool emu_cpu_translate(const struct emu_cpu *cpu, uint32_t linear,
                       uint32_t *ret_physical);

/* Debugger: copy linear memory the same way; the number of bytes that were mapped. */
size_t emu_cpu_peek(const struct emu_cpu *cpu, uint32_t linear, void *ret_data,
                    size_t size);

/* Stop before instructions at these linear addresses, which ascend; borrowed until the
 * next call.  Each run executes its first instruction in any case. */
void emu_cpu_set_breakpoints(struct emu_cpu *cpu, const uint32_t *linear, size_t count);

/* Linear addresses first..last, and which accesses matter. */
struct emu_watch {
    uint32_t first, last;
    bool read, write;
};

/* Watch data accesses of instructions and of deliveries; borrowed until the next call.
 * One that meets a watch is executed, and the run ends as by emu_cpu_stop(), perhaps
 * some instructions later.  Code fetches and page walks are not looked at. */
void emu_cpu_set_watches(struct emu_cpu *cpu, const struct emu_watch *watch,
                         size_t count);

/* The first hit since the last call of this or of emu_cpu_set_watches(). */
struct emu_watch_hit {
    bool met;
    uint32_t index;   /* of the watch */
    uint32_t address; /* the first byte of it that was touched */
};
struct emu_watch_hit emu_cpu_take_watch_hit(struct emu_cpu *cpu);

/* A device has written [physical, physical + size): is a watch there, as the page
 * tables are now? */
void emu_cpu_note_device_write(struct emu_cpu *cpu, uint32_t physical, size_t size);

/* Forget all decoded code; the guest cannot see it. */
void emu_cpu_flush_code(struct emu_cpu *cpu);

/* Execute every instruction from its bytes, without decoded blocks. */
void emu_cpu_one_by_one(struct emu_cpu *cpu, bool on);

/* Cut runs into random pieces, forget code and views at random, execute some
 * instructions from their bytes: nothing of it may be visible (machine.md 6.3).  `seed`
 * says when; 0 stops it. */
void emu_cpu_stress(struct emu_cpu *cpu, uint64_t seed);

/* #UD so far (machine.md B6): the number, and the first distinct encodings. */
enum { EMU_UNDEFINED_MAX = 16 };
struct emu_undefined {
    uint64_t count;
    uint32_t kinds;
    uint8_t bytes[EMU_UNDEFINED_MAX][4];
};
const struct emu_undefined *emu_cpu_undefined(const struct emu_cpu *cpu);

#endif
