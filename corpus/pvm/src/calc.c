/* SPDX-License-Identifier: MIT
 *
 * calc - a calculator: one statement a line from stdin, one answer a line.
 *
 *   statement   [name '='] sum            nothing, or a comment: # to the end
 *   sum         product (('+' | '-') product)*
 *   product     factor (('*' | '/' | '%') factor)*
 *   factor      '-' factor | '(' sum ')' | name | number (decimal, or 0x...)
 *
 * Numbers are signed, 64 bits; what does not fit is an error, not a wrong answer.  The
 * variable `_` is the last answer.  An error is told with its line and column on
 * stderr; the next line is read all the same, and the status is 1 in the end.
 */
#include "host.h"

enum { LINE_MAX = 1024, NAME_MAX = 31, VARIABLE_MAX = 64, DEPTH_MAX = 100 };

struct variable {
    char name[NAME_MAX + 1];
    int64_t value;
};

/* A line being read.  The first error stays; after it every value is 0. */
struct parser {
    const char *start;
    const char *next;
    const char *error;
    const char *error_at;
    unsigned depth;
};

static struct variable variable_list[VARIABLE_MAX];
static unsigned variable_count;
static struct host_in in = {.fd = HOST_STDIN};
static struct host_out out = {.fd = HOST_STDOUT};

static int64_t parse_sum(struct parser *p);

/* ---- letters ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_name(char c)
{
    return is_digit(c) || c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static int digit_value(char c)
{
    if (is_digit(c))
        return c - '0';
    char small = (char)(c | 0x20);
    return small >= 'a' && small <= 'z' ? small - 'a' + 10 : 99;
}

static int64_t fail(struct parser *p, const char *error, const char *at)
{
    if (p->error == NULL) {
        p->error = error;
        p->error_at = at;
    }
    return 0;
}

static char peek(struct parser *p)
{
    while (*p->next == ' ' || *p->next == '\t' || *p->next == '\r')
        p->next++;
    return *p->next == '#' ? 0 : *p->next;
}

static bool accept(struct parser *p, char c)
{
    if (peek(p) != c)
        return false;
    p->next++;
    return true;
}

/* ---- variables ---- */

static struct variable *variable_find(const char *name, uint64_t size)
{
    for (unsigned i = 0; i < variable_count; i++) {
        struct variable *v = &variable_list[i];
        if (strlen(v->name) == size && memcmp(v->name, name, size) == 0)
            return v;
    }
    return NULL;
}

/* False when there is no room for another one. */
static bool variable_set(const char *name, uint64_t size, int64_t value)
{
    struct variable *v = variable_find(name, size);
    if (v == NULL) {
        if (variable_count == VARIABLE_MAX)
            return false;
        v = &variable_list[variable_count++];
        memcpy(v->name, name, size);
        v->name[size] = 0;
    }
    v->value = value;
    return true;
}

static uint64_t name_size(const char *name)
{
    uint64_t size = 0;
    while (is_name(name[size]))
        size++;
    return size;
}

/* ---- the grammar ---- */

static int64_t parse_number(struct parser *p)
{
    const char *at = p->next;
    int base = 10;
    if (at[0] == '0' && (at[1] | 0x20) == 'x') {
        base = 16;
        p->next += 2;
    }
    int64_t value = 0;
    const char *first = p->next;
    for (; digit_value(*p->next) < base; p->next++) {
        if (__builtin_mul_overflow(value, base, &value) ||
            __builtin_add_overflow(value, digit_value(*p->next), &value))
            return fail(p, "number too large", at);
    }
    if (p->next == first || is_name(*p->next))
        return fail(p, "malformed number", at);
    return value;
}

static int64_t parse_name(struct parser *p)
{
    const char *at = p->next;
    uint64_t size = name_size(at);
    p->next += size;
    const struct variable *v = variable_find(at, size);
    return v != NULL ? v->value : fail(p, "unknown name", at);
}

static int64_t parse_factor(struct parser *p)
{
    int64_t value;
    char c = peek(p);
    const char *at = p->next;
    /* Each level takes stack, and a line may hold a thousand brackets. */
    if (p->depth == DEPTH_MAX)
        return fail(p, "nested too deeply", at);
    if (is_digit(c))
        return parse_number(p);
    if (is_name(c))
        return parse_name(p);
    p->depth++;
    if (accept(p, '-')) {
        value = parse_factor(p);
        if (__builtin_sub_overflow((int64_t)0, value, &value))
            value = fail(p, "overflow", at);
    } else if (accept(p, '(')) {
        value = parse_sum(p);
        if (!accept(p, ')'))
            fail(p, "missing )", p->next);
    } else {
        value = fail(p, c == 0 ? "something is missing" : "unexpected character", at);
    }
    p->depth--;
    return value;
}

static int64_t divide(struct parser *p, char sign, const char *at, int64_t a, int64_t b)
{
    if (b == 0)
        return fail(p, "division by zero", at);
    if (b == -1 && sign == '%')
        return 0;
    if (b == -1 && a == INT64_MIN)
        return fail(p, "overflow", at);
    return sign == '/' ? a / b : a % b;
}

static int64_t parse_product(struct parser *p)
{
    int64_t value = parse_factor(p);
    while (p->error == NULL) {
        char sign = peek(p);
        const char *at = p->next;
        if (sign != '*' && sign != '/' && sign != '%')
            break;
        p->next++;
        int64_t right = parse_factor(p);
        if (sign != '*')
            value = divide(p, sign, at, value, right);
        else if (__builtin_mul_overflow(value, right, &value))
            value = fail(p, "overflow", at);
    }
    return value;
}

static int64_t parse_sum(struct parser *p)
{
    int64_t value = parse_product(p);
    while (p->error == NULL) {
        char sign = peek(p);
        const char *at = p->next;
        if (sign != '+' && sign != '-')
            break;
        p->next++;
        int64_t right = parse_product(p);
        if (sign == '+' ? __builtin_add_overflow(value, right, &value)
                        : __builtin_sub_overflow(value, right, &value))
            value = fail(p, "overflow", at);
    }
    return value;
}

/* Is there "name =" here?  Then it is skipped. */
static uint64_t parse_target(struct parser *p, const char **ret_name)
{
    char c = peek(p);
    const char *name = p->next;
    if (!is_name(c) || is_digit(c))
        return 0;
    uint64_t size = name_size(name);
    p->next += size;
    if (accept(p, '=')) {
        *ret_name = name;
        return size;
    }
    p->next = name;
    return 0;
}

/* False for a line without a statement. */
static bool parse_statement(struct parser *p, int64_t *ret_value)
{
    const char *name = NULL;
    if (peek(p) == 0)
        return false;
    uint64_t size = parse_target(p, &name);
    int64_t value = parse_sum(p);
    if (peek(p) != 0)
        fail(p, "unexpected character", p->next);
    if (size > NAME_MAX)
        fail(p, "name too long", name);
    if (p->error == NULL && size != 0 && !variable_set(name, size, value))
        fail(p, "too many variables", name);
    *ret_value = value;
    return true;
}

/* ---- lines ---- */

static void complain(uint64_t line, uint64_t column, const char *what)
{
    struct host_out err = {.fd = HOST_STDERR};
    host_put_text(&err, "calc: line ");
    host_put_u64(&err, line);
    host_put_text(&err, ", column ");
    host_put_u64(&err, column);
    host_put_text(&err, ": ");
    host_put_text(&err, what);
    host_put_byte(&err, '\n');
    host_flush(&err);
}

/* False if the line was wrong. */
static bool calculate(const char *text, uint64_t line)
{
    struct parser p = {.start = text, .next = text};
    int64_t value;
    if (!parse_statement(&p, &value))
        return true;
    if (p.error != NULL) {
        complain(line, (uint64_t)(p.error_at - p.start) + 1, p.error);
        return false;
    }
    variable_set("_", 1, value);
    host_put_i64(&out, value);
    host_put_byte(&out, '\n');
    host_flush(&out);
    return true;
}

uint64_t main_(void)
{
    static char text[LINE_MAX + 1];
    bool good = true, cut;
    int64_t size;
    variable_set("_", 1, 0);
    for (uint64_t line = 1; (size = host_get_line(&in, text, LINE_MAX, &cut)) >= 0;
         line++) {
        /* A NUL ends a line, as `#` does. */
        text[size] = 0;
        if (cut) {
            complain(line, LINE_MAX, "line too long");
            good = false;
        } else {
            good &= calculate(text, line);
        }
    }
    if (!good || in.error != 0 || out.error != 0)
        host_exit(1);
    return 0;
}

PVM_EXPORT(0, main_);
