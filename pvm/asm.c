/* SPDX-License-Identifier: MIT
 *
 * The assembler: names to positions, sizes of offsets, and the blob.
 */
#include "pvm/asm.h"

#include <string.h>

enum {
    /* After so many passes all offsets to labels take 4 bytes: chains of jumps that
     * each push the next beyond a limit would else cost a pass for every jump. */
    PASS_MAX = 32,
};

/* Bytes for what a text may become: the machine's memory is not the limit. */
#define ITEMS_SIZE_MAX ((size_t)1 << 30)
#define JUMPS_SIZE_MAX (PVM_JUMP_COUNT_MAX * sizeof(struct pvm_asm_jump))

static struct pvm_asm_item *items(const struct pvm_asm *a)
{
    return (struct pvm_asm_item *)(void *)a->item.data;
}

static size_t item_count(const struct pvm_asm *a)
{
    return a->item.size / sizeof(struct pvm_asm_item);
}

static struct bytes name_bytes(const struct pvm_asm *a, struct pvm_asm_name name)
{
    return bytes_of(a->text.data + name.at, name.size);
}

/* ---- labels -------------------------------------------------------------------------
 */

/* Label items by name, and by order of appearance among equals. */
struct labels {
    const struct pvm_asm *a;
    uint32_t *item; /* indices */
    size_t count;
};

static int compare_bytes(struct bytes x, struct bytes y)
{
    int order = memcmp(x.data, y.data, x.size < y.size ? x.size : y.size);
    return order ? order : (x.size > y.size) - (x.size < y.size);
}

static int compare_labels(const struct labels *labels, uint32_t x, uint32_t y)
{
    const struct pvm_asm *a = labels->a;
    int order =
        compare_bytes(name_bytes(a, items(a)[x].name), name_bytes(a, items(a)[y].name));
    return order ? order : (x > y) - (x < y);
}

static void sift_down(struct labels *labels, size_t root, size_t count)
{
    uint32_t *item = labels->item;
    for (size_t child; (child = 2 * root + 1) < count; root = child) {
        if (child + 1 < count &&
            compare_labels(labels, item[child], item[child + 1]) < 0)
            child++;
        if (compare_labels(labels, item[root], item[child]) >= 0)
            return;
        uint32_t swap = item[root];
        item[root] = item[child];
        item[child] = swap;
    }
}

/* Heap sort: hostile names cannot make it slow. */
static void sort_labels(struct labels *labels)
{
    for (size_t i = labels->count / 2; i-- > 0;)
        sift_down(labels, i, labels->count);
    for (size_t end = labels->count; end-- > 1;) {
        uint32_t swap = labels->item[0];
        labels->item[0] = labels->item[end];
        labels->item[end] = swap;
        sift_down(labels, 0, end);
    }
}

static enum err collect_labels(struct pvm_asm *a, struct buf *storage,
                               struct labels *ret_labels)
{
    for (uint32_t i = 0; i < item_count(a); i++)
        if (items(a)[i].kind == PVM_ASM_LABEL)
            buf_put(storage, &i, sizeof i);
    if (storage->err)
        return ERR_nomem;
    struct labels labels = {.a = a,
                            .item = (uint32_t *)(void *)storage->data,
                            .count = storage->size / sizeof(uint32_t)};
    sort_labels(&labels);
    for (size_t i = 1; i < labels.count; i++) {
        const struct pvm_asm_item *item = &items(a)[labels.item[i]];
        struct bytes name = name_bytes(a, item->name);
        if (!compare_bytes(name, name_bytes(a, items(a)[labels.item[i - 1]].name)))
            return pvm_asm_fail(a, item->line, "label is defined twice:", name);
    }
    *ret_labels = labels;
    return ERR_ok;
}

static enum err find_label(struct pvm_asm *a, const struct labels *labels,
                           struct pvm_asm_name name, uint32_t line, uint32_t *ret_item)
{
    size_t low = 0, high = labels->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        uint32_t item = labels->item[middle];
        int order =
            compare_bytes(name_bytes(a, name), name_bytes(a, items(a)[item].name));
        if (!order) {
            *ret_item = item;
            return ERR_ok;
        }
        *(order < 0 ? &high : &low) = order < 0 ? middle : middle + 1;
    }
    return pvm_asm_fail(a, line, "label is not defined:", name_bytes(a, name));
}

/* References by name become references to items; jump entries keep theirs in `value`.
 */
static enum err resolve(struct pvm_asm *a, const struct labels *labels)
{
    for (size_t i = 0; i < item_count(a); i++) {
        struct pvm_asm_item *item = &items(a)[i];
        uint32_t label;
        if (item->kind != PVM_ASM_INSN || !item->to_label)
            continue;
        TRY(find_label(a, labels, item->name, item->line, &label));
        item->label = label;
    }
    struct pvm_asm_jump *jump = (struct pvm_asm_jump *)(void *)a->jump.data;
    for (size_t i = 0; i < a->jump.size / sizeof *jump; i++) {
        uint32_t label;
        if (!jump[i].name.size)
            continue;
        TRY(find_label(a, labels, jump[i].name, jump[i].line, &label));
        jump[i].value = label;
    }
    return ERR_ok;
}

static enum err name_everything(struct pvm_asm *a)
{
    struct buf storage;
    struct labels labels = {0};
    buf_init(&storage, ITEMS_SIZE_MAX);
    enum err err = collect_labels(a, &storage, &labels);
    if (!err)
        err = resolve(a, &labels);
    buf_fini(&storage);
    return err;
}

/* ---- layout
 * -------------------------------------------------------------------------- */

static uint8_t *target_size(struct pvm_asm_item *item)
{
    return pvm_format_of(item->op)->has_y ? &item->y_size : &item->x_size;
}

static bool has_target(const struct pvm_asm_item *item)
{
    return item->kind == PVM_ASM_INSN && pvm_format_of(item->op)->target;
}

/* Give every item its position.  The size of an offset to an absolute target depends
 * on its own position alone, so it is chosen here. */
static enum err place(struct pvm_asm *a)
{
    uint64_t pc = 0;
    for (size_t i = 0; i < item_count(a); i++) {
        struct pvm_asm_item *item = &items(a)[i];
        item->pc = (uint32_t)pc;
        if (has_target(item) && item->auto_size && !item->to_label)
            *target_size(item) = (uint8_t)pvm_imm_size(item->y - (int64_t)pc);
        if (item->kind == PVM_ASM_INSN)
            pc += (uint64_t)pvm_format_of(item->op)->head_size + item->x_size +
                  item->y_size;
        else if (item->kind == PVM_ASM_BYTES)
            pc += item->raw.size;
        if (pc > PVM_CODE_SIZE_MAX) {
            (void)pvm_asm_fail(a, item->line, "the code is larger than 16 MiB",
                               (struct bytes){0});
            return ERR_pvm_limit;
        }
    }
    return ERR_ok;
}

/* Let the offsets to labels grow where they do not fit; they never shrink, so this
 * comes to an end. */
static bool grow(struct pvm_asm *a, bool most)
{
    bool grown = false;
    for (size_t i = 0; i < item_count(a); i++) {
        struct pvm_asm_item *item = &items(a)[i];
        if (!has_target(item) || !item->auto_size || !item->to_label)
            continue;
        int64_t offset = (int64_t)items(a)[item->label].pc - (int64_t)item->pc;
        unsigned need = most ? 4 : pvm_imm_size(offset);
        if (need > *target_size(item)) {
            *target_size(item) = (uint8_t)need;
            grown = true;
        }
    }
    return grown;
}

static enum err lay_out(struct pvm_asm *a)
{
    unsigned pass = 0;
    do
        TRY(place(a));
    while (grow(a, pass++ >= PASS_MAX));
    return ERR_ok;
}

/* ---- the blob
 * ------------------------------------------------------------------------ */

struct output {
    struct buf code, mask, jump;
};

static void put_code(struct output *out, struct bytes bytes, bool marked)
{
    size_t at = out->code.size;
    buf_put(&out->code, bytes.data, bytes.size);
    while (!out->mask.err && out->mask.size < (out->code.size + 7) / 8)
        buf_byte(&out->mask, 0);
    if (marked && !out->code.err && !out->mask.err)
        out->mask.data[at / 8] |= (uint8_t)(1u << (at % 8));
}

static enum err put_insn(struct pvm_asm *a, const struct pvm_asm_item *item,
                         struct output *out)
{
    uint8_t bytes[PVM_INSN_SIZE_MAX];
    struct pvm_insn insn = {.pc = item->pc,
                            .op = item->op,
                            .a = item->a,
                            .b = item->b,
                            .d = item->d,
                            .x = item->x};
    if (!has_target(item))
        insn.y = item->y;
    else
        insn.target = item->to_label ? (int64_t)items(a)[item->label].pc : item->y;
    size_t size = pvm_insn_encode(&insn, item->x_size, item->y_size, bytes);
    if (!size)
        return pvm_asm_fail(a, item->line, "the target is too far away",
                            (struct bytes){0});
    put_code(out, bytes_of(bytes, size), true);
    return ERR_ok;
}

static enum err check_claim(struct pvm_asm *a, const struct pvm_asm_item *item)
{
    if (item->y == (int64_t)item->pc)
        return ERR_ok;
    struct buf detail;
    buf_init(&detail, 64);
    buf_printf(&detail, "@%u", item->pc);
    enum err err =
        pvm_asm_fail(a, item->line, "this is another position:", buf_bytes(&detail));
    buf_fini(&detail);
    return err;
}

static enum err put_items(struct pvm_asm *a, struct output *out)
{
    for (size_t i = 0; i < item_count(a); i++) {
        const struct pvm_asm_item *item = &items(a)[i];
        if (item->kind == PVM_ASM_INSN)
            TRY(put_insn(a, item, out));
        else if (item->kind == PVM_ASM_BYTES)
            put_code(out, bytes_of(a->raw.data + item->raw.at, item->raw.size),
                     item->marked);
        else if (item->kind == PVM_ASM_CLAIM)
            TRY(check_claim(a, item));
    }
    return ERR_ok;
}

static unsigned width_of(uint64_t value)
{
    unsigned width = 0;
    for (; value; value >>= 8)
        width++;
    return width;
}

static enum err put_jumps(struct pvm_asm *a, struct output *out)
{
    struct pvm_asm_jump *jump = (struct pvm_asm_jump *)(void *)a->jump.data;
    size_t count = a->jump.size / sizeof *jump;
    unsigned width = count ? 1 : 0;
    for (size_t i = 0; i < count; i++) {
        if (jump[i].name.size)
            jump[i].value = items(a)[jump[i].value].pc;
        unsigned need = width_of(jump[i].value);
        width = need > width ? need : width;
        if (need > a->jump_width)
            return pvm_asm_fail(a, jump[i].line, "the entry does not fit .jump_width",
                                (struct bytes){0});
    }
    if (a->jump_width == PVM_ASM_SIZE_AUTO)
        a->jump_width = width;
    for (size_t i = 0; i < count; i++)
        for (unsigned j = 0; j < a->jump_width; j++)
            buf_byte(&out->jump, (uint8_t)(jump[i].value >> (8 * j)));
    return ERR_ok;
}

static enum err put_blob(struct pvm_asm *a, struct buf *blob)
{
    struct output out;
    buf_init(&out.code, PVM_CODE_SIZE_MAX);
    buf_init(&out.mask, PVM_CODE_SIZE_MAX / 8);
    buf_init(&out.jump, (size_t)PVM_JUMP_COUNT_MAX * 8);
    enum err err = put_items(a, &out);
    if (!err)
        err = put_jumps(a, &out);
    if (!err && (out.code.err || out.mask.err || out.jump.err))
        err = ERR_nomem; /* the limits were checked before */
    if (!err) {
        struct pvm_code code = {
            .code = buf_bytes(&out.code),
            .bitmask = out.mask.data,
            .jump = out.jump.data,
            .jump_count = (uint32_t)(a->jump.size / sizeof(struct pvm_asm_jump)),
            .jump_width = (uint8_t)a->jump_width,
        };
        pvm_code_put(&code, blob);
        err = blob->err;
    }
    buf_fini(&out.code);
    buf_fini(&out.mask);
    buf_fini(&out.jump);
    return err;
}

static enum err assemble(struct pvm_asm *a, struct buf *blob)
{
    TRY(pvm_asm_parse(a));
    if (a->item.err == ERR_nomem || a->jump.err == ERR_nomem || a->raw.err == ERR_nomem)
        return ERR_nomem;
    if (a->item.err || a->jump.err || a->raw.err) {
        (void)pvm_asm_fail(a, a->line, "the program is too large", (struct bytes){0});
        return ERR_pvm_limit;
    }
    TRY(name_everything(a));
    TRY(lay_out(a));
    return put_blob(a, blob);
}

enum err pvm_asm(struct bytes text, struct buf *blob, struct pvm_asm_error *ret_error)
{
    struct pvm_asm_error error = {0};
    struct pvm_asm a = {.text = text, .jump_width = PVM_ASM_SIZE_AUTO, .error = &error};
    buf_init(&a.item, ITEMS_SIZE_MAX);
    buf_init(&a.jump, JUMPS_SIZE_MAX);
    buf_init(&a.raw, PVM_CODE_SIZE_MAX);
    enum err err = text.size > UINT32_MAX ? ERR_pvm_limit : assemble(&a, blob);
    buf_fini(&a.item);
    buf_fini(&a.jump);
    buf_fini(&a.raw);
    if (err == ERR_pvm_asm || err == ERR_pvm_limit)
        *ret_error = error;
    return err;
}
