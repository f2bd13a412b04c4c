/* SPDX-License-Identifier: MIT
 *
 * The container loaders on any bytes, as each kind and in each profile: no crash, and
 * what they accept is well-formed and reads the same when written again.
 */
#include "pvm/pvm.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_written_back(const struct pvm_container *container)
{
    struct buf back;
    buf_init(&back, (size_t)1 << 27);
    pvm_code_put(&container->code, &back);
    check(!back.err && back.size == container->raw.size);
    check(!memcmp(back.data, container->raw.data, back.size));
    buf_fini(&back);
}

/* Regions are whole pages in ascending order, inside the address space. */
static void check_regions(const struct pvm_container *container)
{
    uint64_t end = 0;
    for (uint32_t i = 0; i < container->region_count; i++) {
        const struct pvm_region *region = &container->region[i];
        check(region->size && region->size % PVM_PAGE_SIZE == 0);
        check(region->start % PVM_PAGE_SIZE == 0 && region->start >= end);
        check(region->data.size <= region->size);
        end = region->start + region->size;
        check(end <= (uint64_t)1 << 32);
    }
}

/* Touch every byte that is pointed to, for the sanitizer. */
static void check_readable(const struct pvm_container *container, struct bytes file)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < container->import_count; i++)
        for (size_t j = 0; j < container->import_list[i].size; j++)
            sum += container->import_list[i].data[j];
    for (uint32_t i = 0; i < container->export_count; i++)
        for (size_t j = 0; j < container->export_list[i].name.size; j++)
            sum += container->export_list[i].name.data[j];
    for (uint32_t i = 0; i < container->code.jump_count; i++)
        sum += pvm_code_jump(&container->code, i) & 0xff;
    check(sum <= 255 * (2 * (uint64_t)file.size + container->code.jump_count));
}

static void check_code(const struct pvm_code *code, enum pvm_profile profile)
{
    uint32_t size = (uint32_t)code->code.size;
    for (uint32_t pc = 0; pc < size + 2 && pc < 4096; pc++) {
        struct pvm_insn insn;
        bool ok = pvm_insn_decode(code, profile, pc, &insn);
        check(ok == pvm_code_ok(code, profile, pc));
        check(!ok || (insn.size >= 1 && insn.size <= PVM_INSN_SIZE_MAX));
        check(!ok || pc + insn.size <= size);
    }
    (void)pvm_code_valid(code, profile);
}

static void run(struct bytes file)
{
    enum pvm_container_kind detected = pvm_container_detect(file);
    for (unsigned choice = 0; choice < 6; choice++) {
        enum pvm_container_kind kind = (enum pvm_container_kind)(choice % 3);
        enum pvm_profile profile = choice < 3 ? PVM_PROFILE_VECTORS : PVM_PROFILE_JAVM;
        struct arena arena;
        struct pvm_container container;
        arena_init(&arena, (size_t)1 << 27);
        enum err err =
            pvm_container_load(&arena, kind, profile, file,
                               bytes_of(file.data, file.size % 7), &container);
        check(err != ERR_nomem);
        if (!err) {
            check(container.kind == kind);
            check(detected == kind || kind == PVM_CONTAINER_RAW);
            check_written_back(&container);
            check_regions(&container);
            check_readable(&container, file);
            check_code(&container.code, profile);
        }
        arena_fini(&arena);
    }
}

/* A .polkavm file whose stated size is right, so that mutations reach what follows. */
static void run_repaired(struct bytes file)
{
    if (file.size < 13 || memcmp(file.data, "PVM", 4) != 0)
        return;
    struct buf copy;
    buf_init(&copy, (size_t)1 << 27);
    buf_put(&copy, file.data, file.size);
    for (unsigned i = 0; i < 8; i++)
        copy.data[5 + i] = (uint8_t)((uint64_t)file.size >> (8 * i));
    run(buf_bytes(&copy));
    buf_fini(&copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    run(bytes_of(data, size));
    run_repaired(bytes_of(data, size));
    return 0;
}
