/* SPDX-License-Identifier: MIT
 *
 * Cases and their text form.
 */
#include "analysis/case.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { DATA_LINE = 32, CODE_LINE_MAX = 256 };

static const char *const log_word[] = {"none", "ledger", "each", "summary"};
static const char *const dispatch_word[] = {"auto", "loop", "threaded"};

struct pvm_code analysis_case_code(const struct analysis_case *c)
{
    return (struct pvm_code){
        .code = bytes_of(c->code, c->code_size),
        .bitmask = c->bitmask,
        .jump = c->jump,
        .jump_count = c->jump_count,
        .jump_width = (uint8_t)c->jump_width,
    };
}

struct pvm_region analysis_case_region(const struct analysis_case *c, uint32_t index)
{
    const struct analysis_case_region *region = &c->region[index];
    return (struct pvm_region){
        .start = region->start,
        .size = (uint64_t)region->page_count * PVM_PAGE_SIZE,
        .access = region->access,
        .data = bytes_of(c->data + region->data_from, region->data_size),
    };
}

void analysis_case_map(const struct analysis_case *c, struct pvm_mem *mem)
{
    uint32_t page = pvm_mem_next_page(mem, 0);
    while (page < PVM_PAGE_COUNT) { /* by runs: each may change page protection */
        uint32_t first = page;
        do
            page++;
        while (page < PVM_PAGE_COUNT && pvm_mem_access(mem, page));
        check(!pvm_mem_unmap(mem, first * (uint32_t)PVM_PAGE_SIZE,
                             (uint64_t)(page - first) * PVM_PAGE_SIZE));
        page = pvm_mem_next_page(mem, page);
    }
    for (uint32_t i = 0; i < c->region_count; i++) {
        struct pvm_region region = analysis_case_region(c, i);
        check(!pvm_mem_map(mem, region.start, region.size, region.access, region.data));
    }
}

uint32_t analysis_case_insn_count(const struct analysis_case *c)
{
    struct pvm_code code = analysis_case_code(c);
    struct pvm_insn insn;
    uint32_t count = 0;
    for (uint32_t pc = 0; pc < c->code_size; count++)
        pc += pvm_insn_decode(&code, c->config.profile, pc, &insn) ? insn.size : 1;
    return count;
}

/* ---- writing ---- */

static void put_hex(const uint8_t *data, size_t size, struct buf *buf)
{
    for (size_t i = 0; i < size; i++)
        buf_printf(buf, "%02x", data[i]);
}

static void put_machine(const struct analysis_case *c, struct buf *buf)
{
    buf_printf(buf, "profile %s\n", pvm_profile_name(c->config.profile));
    buf_printf(buf, "model %" PRIu32 "\n", c->config.model);
    buf_printf(buf, "mem_cycles %" PRIu32 "\n", c->config.mem_cycles);
    buf_printf(buf, "gas %" PRIu64 "\n", c->gas);
    buf_printf(buf, "pc %" PRIu32 "\n", c->pc);
    for (unsigned r = 0; r < PVM_REG_COUNT; r++) {
        if (c->reg[r])
            buf_printf(buf, "reg %s 0x%" PRIx64 "\n", pvm_reg_name[r], c->reg[r]);
    }
    size_t used = 0;
    for (uint32_t i = 0; i < c->region_count; i++) {
        const struct analysis_case_region *region = &c->region[i];
        size_t end = region->data_from + region->data_size;
        used = end > used ? end : used;
        buf_printf(buf, "region 0x%" PRIx32 " %" PRIu32 " %s %" PRIu32 " %" PRIu32 "\n",
                   region->start, region->page_count,
                   region->access == PVM_ACCESS_RW ? "rw" : "r", region->data_from,
                   region->data_size);
    }
    for (size_t at = 0; at < used; at += DATA_LINE) {
        buf_text(buf, "data ");
        put_hex(c->data + at, used - at < DATA_LINE ? used - at : DATA_LINE, buf);
        buf_byte(buf, '\n');
    }
}

static void put_way(const struct analysis_case *c, struct buf *buf)
{
    const struct analysis_way *way = &c->way;
    buf_printf(buf, "runs %" PRIu32 "\n", c->run_count);
    if (c->deadline)
        buf_printf(buf, "deadline %" PRIu32 "\n", c->deadline);
    if (c->answers)
        buf_text(buf, "answers\n");
    buf_printf(buf, "log %s\n", log_word[way->log]);
    buf_printf(buf, "dispatch %s\n", dispatch_word[way->dispatch]);
    if (way->explicit_checks)
        buf_text(buf, "explicit_checks\n");
    for (unsigned op = 0; op < 256; op++) {
        if (pvm_op_info[op].name && way->interp_only[op / 64] >> op % 64 & 1)
            buf_printf(buf, "interp_only %s\n", pvm_op_info[op].name);
    }
}

void analysis_case_put(const struct analysis_case *c, struct buf *buf)
{
    struct pvm_code code = analysis_case_code(c);
    buf_text(buf, "lockstep case 1\n");
    put_machine(c, buf);
    put_way(c, buf);
    buf_text(buf, "code\n");
    pvm_disasm(&code, c->config.profile, buf);
}

/* ---- reading ---- */

enum { WORDS_MAX = 6, WORD_SIZE_MAX = 128 };

struct parser {
    struct bytes rest;
    uint32_t line;
    char word[WORDS_MAX][WORD_SIZE_MAX]; /* of the line; "" behind the last */
    unsigned word_count;
    size_t data_size; /* read so far */
    struct analysis_case *it;
    struct analysis_case_error *error;
};

__attribute__((format(printf, 2, 3))) static enum err refuse(struct parser *p,
                                                             const char *format, ...)
{
    va_list args;
    va_start(args, format);
    p->error->line = p->line;
    (void)vsnprintf(p->error->message, sizeof p->error->message, format, args);
    va_end(args);
    return ERR_case;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next line into words, without a comment; false at the end of the text. */
static bool next_line(struct parser *p, enum err *ret_err)
{
    if (!p->rest.size)
        return false;
    const uint8_t *at = p->rest.data;
    const uint8_t *end = memchr(at, '\n', p->rest.size);
    const uint8_t *stop = end ? end : at + p->rest.size;
    p->rest = bytes_of(end ? end + 1 : stop,
                       p->rest.size - (size_t)(stop - at) - (end != NULL));
    p->line++;
    p->word_count = 0;
    memset(p->word, 0, sizeof p->word);
    while (at < stop && *at != ';') {
        if (is_space(*at)) {
            at++;
            continue;
        }
        const uint8_t *begin = at;
        while (at < stop && !is_space(*at) && *at != ';')
            at++;
        if (p->word_count == WORDS_MAX || at - begin >= WORD_SIZE_MAX) {
            *ret_err = refuse(p, "more or longer words than any line has");
            return true;
        }
        memcpy(p->word[p->word_count++], begin, (size_t)(at - begin));
    }
    return true;
}

/* Word `index` as a number of at most `max`. */
static enum err number(struct parser *p, unsigned index, uint64_t max,
                       uint64_t *ret_value)
{
    const char *s = p->word[index];
    unsigned base = s[0] == '0' && s[1] == 'x' ? 16 : 10;
    uint64_t value = 0;
    s += base == 16 ? 2 : 0;
    bool good = *s != 0;
    for (; *s; s++) {
        unsigned digit = *s >= '0' && *s <= '9'   ? (unsigned)(*s - '0')
                         : *s >= 'a' && *s <= 'f' ? (unsigned)(*s - 'a' + 10)
                                                  : 99;
        good = good && digit < base && value <= (UINT64_MAX - digit) / base;
        value = value * base + digit;
    }
    if (!good || value > max)
        return refuse(p, "%s: '%s' is no number from 0 to %" PRIu64, p->word[0],
                      p->word[index], max);
    *ret_value = value;
    return ERR_ok;
}

static enum err number_32(struct parser *p, unsigned index, uint32_t max,
                          uint32_t *ret_value)
{
    uint64_t value;
    TRY(number(p, index, max, &value));
    *ret_value = (uint32_t)value;
    return ERR_ok;
}

/* Word `index` among `count` words. */
static enum err choice(struct parser *p, unsigned index, const char *const *words,
                       unsigned count, unsigned *ret_choice)
{
    for (unsigned k = 0; k < count; k++) {
        if (!strcmp(p->word[index], words[k])) {
            *ret_choice = k;
            return ERR_ok;
        }
    }
    return refuse(p, "%s: '%s' is not known", p->word[0], p->word[index]);
}

static enum err read_profile(struct parser *p)
{
    const char *const words[] = {pvm_profile_name(PVM_PROFILE_VECTORS),
                                 pvm_profile_name(PVM_PROFILE_JAVM)};
    unsigned profile = 0;
    TRY(choice(p, 1, words, 2, &profile));
    p->it->config.profile = (enum pvm_profile)profile;
    return ERR_ok;
}

static enum err read_model(struct parser *p)
{
    return number_32(p, 1, UINT32_MAX, &p->it->config.model);
}

static enum err read_mem_cycles(struct parser *p)
{
    return number_32(p, 1, UINT32_MAX, &p->it->config.mem_cycles);
}

static enum err read_gas(struct parser *p)
{
    return number(p, 1, UINT64_MAX, &p->it->gas);
}

static enum err read_pc(struct parser *p)
{
    return number_32(p, 1, UINT32_MAX, &p->it->pc);
}

static enum err read_reg(struct parser *p)
{
    unsigned reg = 0;
    TRY(choice(p, 1, pvm_reg_name, PVM_REG_COUNT, &reg));
    return number(p, 2, UINT64_MAX, &p->it->reg[reg]);
}

static enum err read_region(struct parser *p)
{
    static const char *const rights[] = {"r", "rw"};
    struct analysis_case *c = p->it;
    struct analysis_case_region region;
    unsigned access = 0;
    if (c->region_count == ANALYSIS_CASE_REGION_MAX)
        return refuse(p, "more than %u regions", ANALYSIS_CASE_REGION_MAX);
    TRY(number_32(p, 1, UINT32_MAX, &region.start));
    TRY(number_32(p, 2, ANALYSIS_CASE_PAGES_MAX, &region.page_count));
    TRY(choice(p, 3, rights, 2, &access));
    TRY(number_32(p, 4, ANALYSIS_CASE_DATA_SIZE, &region.data_from));
    TRY(number_32(p, 5, ANALYSIS_CASE_DATA_SIZE - region.data_from, &region.data_size));
    region.access = access ? PVM_ACCESS_RW : PVM_ACCESS_R;
    uint64_t end = region.start + (uint64_t)region.page_count * PVM_PAGE_SIZE;
    if (!region.page_count || region.start % PVM_PAGE_SIZE || end > (uint64_t)1 << 32)
        return refuse(p, "region: no whole pages of the address space");
    for (uint32_t i = 0; i < c->region_count; i++) {
        struct pvm_region other = analysis_case_region(c, i);
        if (region.start < other.start + other.size && other.start < end)
            return refuse(p, "region: it overlaps another one");
    }
    c->region[c->region_count++] = region;
    return ERR_ok;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum err read_data(struct parser *p)
{
    for (const char *s = p->word[1]; *s; s += 2) {
        int high = hex_digit(s[0]), low = hex_digit(s[1]);
        if (high < 0 || low < 0)
            return refuse(p, "data: no pairs of hexadecimal digits");
        if (p->data_size == ANALYSIS_CASE_DATA_SIZE)
            return refuse(p, "data: more than %u bytes", ANALYSIS_CASE_DATA_SIZE);
        p->it->data[p->data_size++] = (uint8_t)(high << 4 | low);
    }
    return ERR_ok;
}

static enum err read_runs(struct parser *p)
{
    TRY(number_32(p, 1, ANALYSIS_CASE_RUNS_MAX, &p->it->run_count));
    return p->it->run_count ? ERR_ok : refuse(p, "runs: at least one");
}

static enum err read_deadline(struct parser *p)
{
    return number_32(p, 1, INT32_MAX, &p->it->deadline);
}

static enum err read_answers(struct parser *p)
{
    p->it->answers = true;
    return ERR_ok;
}

static enum err read_log(struct parser *p)
{
    unsigned log = 0;
    TRY(choice(p, 1, log_word, countof(log_word), &log));
    p->it->way.log = (enum pvm_gas_log)log;
    return ERR_ok;
}

static enum err read_dispatch(struct parser *p)
{
    unsigned dispatch = 0;
    TRY(choice(p, 1, dispatch_word, countof(dispatch_word), &dispatch));
    p->it->way.dispatch = (enum pvm_dispatch)dispatch;
    return ERR_ok;
}

static enum err read_explicit_checks(struct parser *p)
{
    p->it->way.explicit_checks = true;
    return ERR_ok;
}

static enum err read_interp_only(struct parser *p)
{
    for (unsigned op = 0; op < 256; op++) {
        if (pvm_op_info[op].name && !strcmp(pvm_op_info[op].name, p->word[1])) {
            p->it->way.interp_only[op / 64] |= (uint64_t)1 << op % 64;
            return ERR_ok;
        }
    }
    return refuse(p, "interp_only: '%s' is no instruction", p->word[1]);
}

static const struct key {
    const char *name;
    unsigned word_count;
    enum err (*read)(struct parser *p);
} keys[] = {
    {"profile", 2, read_profile},
    {"model", 2, read_model},
    {"mem_cycles", 2, read_mem_cycles},
    {"gas", 2, read_gas},
    {"pc", 2, read_pc},
    {"reg", 3, read_reg},
    {"region", 6, read_region},
    {"data", 2, read_data},
    {"runs", 2, read_runs},
    {"deadline", 2, read_deadline},
    {"answers", 1, read_answers},
    {"log", 2, read_log},
    {"dispatch", 2, read_dispatch},
    {"explicit_checks", 1, read_explicit_checks},
    {"interp_only", 2, read_interp_only},
};

static enum err read_key(struct parser *p)
{
    for (size_t k = 0; k < countof(keys); k++) {
        if (strcmp(keys[k].name, p->word[0]) != 0)
            continue;
        if (p->word_count != keys[k].word_count)
            return refuse(p, "%s takes %u words, not %u", keys[k].name,
                          keys[k].word_count - 1, p->word_count - 1);
        return keys[k].read(p);
    }
    return refuse(p, "'%s' is not known", p->word[0]);
}

/* A program into the case's arrays. */
static enum err take_code(struct parser *p, struct bytes blob)
{
    struct analysis_case *c = p->it;
    struct pvm_code code;
    if (pvm_code_parse(blob, &code))
        return refuse(p, "code: too large");
    size_t jump_size = (size_t)code.jump_count * code.jump_width;
    if (code.code.size > ANALYSIS_CASE_CODE_MAX ||
        code.jump_count > ANALYSIS_CASE_JUMP_MAX)
        return refuse(p, "code: more than %u bytes, or %u jump table entries",
                      ANALYSIS_CASE_CODE_MAX, ANALYSIS_CASE_JUMP_MAX);
    c->code_size = (uint32_t)code.code.size;
    c->jump_count = code.jump_count;
    c->jump_width = code.jump_width;
    if (code.code.size) {
        memcpy(c->code, code.code.data, code.code.size);
        memcpy(c->bitmask, code.bitmask, (code.code.size + 7) / 8);
    }
    if (jump_size)
        memcpy(c->jump, code.jump, jump_size);
    return ERR_ok;
}

static enum err read_code(struct parser *p)
{
    struct pvm_asm_error wrong = {0};
    struct buf blob;
    buf_init(&blob, ANALYSIS_CASE_TEXT_MAX);
    enum err err = pvm_asm(p->rest, &blob, &wrong);
    p->line += wrong.line;
    if (err == ERR_pvm_asm || err == ERR_pvm_limit)
        err = refuse(p, "%s", wrong.message);
    else if (!err)
        err = take_code(p, buf_bytes(&blob));
    buf_fini(&blob);
    return err;
}

/* What lines do not see one by one. */
static enum err check_whole(struct parser *p)
{
    if (pvm_config_check(&p->it->config))
        return refuse(p, "profile, model and mem_cycles do not fit together");
    for (uint32_t i = 0; i < p->it->region_count; i++) {
        const struct analysis_case_region *region = &p->it->region[i];
        if (region->data_from + region->data_size > p->data_size)
            return refuse(p, "data: less than regions take of it");
    }
    return ERR_ok;
}

enum err analysis_case_parse(struct bytes text, struct analysis_case *ret_case,
                             struct analysis_case_error *ret_error)
{
    struct parser p = {.rest = text, .it = ret_case, .error = ret_error};
    enum err err = ERR_ok;
    bool has_code = false;
    memset(ret_case, 0, sizeof *ret_case);
    ret_case->run_count = 1;
    if (text.size > ANALYSIS_CASE_TEXT_MAX)
        return refuse(&p, "larger than %u bytes", ANALYSIS_CASE_TEXT_MAX);
    if (!next_line(&p, &err) || err || p.word_count != 3 ||
        strcmp(p.word[0], "lockstep") || strcmp(p.word[1], "case") ||
        strcmp(p.word[2], "1"))
        return refuse(&p, "no 'lockstep case 1'");
    while (!has_code && next_line(&p, &err)) {
        if (err)
            return err;
        has_code = p.word_count == 1 && !strcmp(p.word[0], "code");
        if (p.word_count && !has_code)
            TRY(read_key(&p));
    }
    if (!has_code)
        return refuse(&p, "no 'code'");
    TRY(check_whole(&p));
    return read_code(&p);
}
