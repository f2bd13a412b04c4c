/* SPDX-License-Identifier: MIT
 *
 * The line table of the debug information (DWARF 4, 6.2).  Every byte is read once and
 * makes at most one row, so that hostile tables end.
 */
#include "cli/dap_lines.h"

#include "cli/elf64.h"

#include <stdlib.h>
#include <string.h>

enum {
    FILE_MAX = 4096,
    UNIT_FILE_MAX = 65536,
    ROWS_SIZE_MAX = 1 << 28,
    TEXT_SIZE_MAX = 1 << 24,
    SPECIAL_MAX = 255,
};
#define CODE_BASE ((uint64_t)1 << 32) /* of program 0; dropped code is below */

/* ---- bytes ---- */

struct cursor {
    struct bytes data;
    uint64_t at;
    bool bad; /* it went over the end */
};

static uint64_t take(struct cursor *c, unsigned size)
{
    uint64_t value = 0;
    if (c->bad || size > c->data.size - c->at) {
        c->bad = true;
        return 0;
    }
    for (unsigned i = 0; i < size && i < 8; i++)
        value |= (uint64_t)c->data.data[c->at + i] << (8 * i);
    c->at += size;
    return value;
}

static uint64_t take_leb(struct cursor *c, bool is_signed)
{
    uint64_t value = 0;
    unsigned shift = 0, byte;
    do {
        byte = (unsigned)take(c, 1);
        if (shift < 64)
            value |= (uint64_t)(byte & 0x7f) << shift;
        shift += 7;
    } while (byte & 0x80);
    if (is_signed && (byte & 0x40) && shift < 64)
        value |= UINT64_MAX << shift;
    return value;
}

/* A string that ends inside; NULL and bad: it does not. */
static const char *take_text(struct cursor *c)
{
    const uint8_t *start = c->data.data + c->at;
    const uint8_t *end = c->bad ? NULL : memchr(start, 0, c->data.size - c->at);
    if (!end) {
        c->bad = true;
        return NULL;
    }
    c->at += (uint64_t)(end - start) + 1;
    return (const char *)start;
}

/* The next `size` bytes as a cursor of their own. */
static struct cursor take_part(struct cursor *c, uint64_t size)
{
    struct cursor part = {.bad = true};
    if (c->bad || size > c->data.size - c->at) {
        c->bad = true;
        return part;
    }
    part = (struct cursor){.data = bytes_of(c->data.data + c->at, (size_t)size)};
    c->at += size;
    return part;
}

/* ---- names ---- */

struct name {
    const char *text;
    uint64_t folder; /* from 1; 0: where the compiler ran */
    uint32_t file;   /* in the list of files, from 1; 0: not yet */
};

/* A table of one unit. */
struct unit {
    struct dap_lines *lines;
    const char *root;
    uint64_t shift;            /* from program 0 to the one that is meant */
    struct buf folders, names; /* const char *, struct name */
    unsigned minimum, range, base;
    int line_base;
    bool statement; /* at the beginning of a sequence */
    uint8_t length[SPECIAL_MAX + 1];
    struct cursor program;
    /* The registers, and the row that has no end yet. */
    uint64_t address, file, line;
    bool is_statement, has_row;
    struct dap_row row;
};

static const char *plain(const char *name)
{
    while (name[0] == '.' && name[1] == '/')
        name += 2;
    return name;
}

/* The index of a file, which may be new. */
static enum err intern(struct dap_lines *lines, const struct buf *text, size_t name_at,
                       uint32_t *ret_file)
{
    struct dap_file file;
    uint32_t count = dap_lines_file_count(lines);
    TRY(text->err);
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(dap_lines_file_at(lines, i)->path, buf_string(text)) == 0) {
            *ret_file = i;
            return ERR_ok;
        }
    }
    file.path = arena_copy(&lines->arena, buf_string(text), text->size + 1);
    if (!file.path || count == FILE_MAX)
        return ERR_limit;
    file.name = file.path + name_at;
    buf_put(&lines->files, &file, sizeof file);
    *ret_file = count;
    return lines->files.err;
}

/* The whole path of a name of the unit. */
static enum err file_of(struct unit *u, struct name *name)
{
    struct buf text;
    const char *folder = "";
    size_t name_at = 0;
    uint32_t file = 0;
    size_t folders = u->folders.size / sizeof folder;
    if (name->folder && name->folder <= folders)
        folder = plain(
            ((const char *const *)(const void *)u->folders.data)[name->folder - 1]);
    buf_init(&text, TEXT_SIZE_MAX);
    if (name->text[0] != '/' && folder[0] != '/') {
        buf_printf(&text, "%s/", u->root);
        name_at = text.size;
    }
    if (name->text[0] != '/' && folder[0] && strcmp(folder, ".") != 0)
        buf_printf(&text, "%s/", folder);
    buf_text(&text, plain(name->text));
    enum err err = intern(u->lines, &text, name_at, &file);
    name->file = file + 1;
    buf_fini(&text);
    return err;
}

/* ---- rows ---- */

/* The row before ends here. */
static enum err end_row(struct unit *u)
{
    struct dap_row *row = &u->row;
    struct dap_lines *lines = u->lines;
    if (!u->has_row)
        return ERR_ok;
    u->has_row = false;
    row->end = u->address;
    if (row->address < CODE_BASE || row->end < row->address)
        return ERR_ok;
    row->address += u->shift;
    row->end += u->shift;
    row->order = (uint32_t)(lines->rows.size / sizeof *row);
    if (row->end > row->address)
        buf_put(&lines->rows, row, sizeof *row);
    row->order = (uint32_t)(lines->marks.size / sizeof *row);
    if (row->statement && row->line)
        buf_put(&lines->marks, row, sizeof *row);
    return lines->rows.err ? lines->rows.err : lines->marks.err;
}

static enum err begin_row(struct unit *u)
{
    struct name *name = (struct name *)(void *)u->names.data;
    TRY(end_row(u));
    if (!u->file || u->file > u->names.size / sizeof *name || u->line > UINT32_MAX)
        return ERR_ok;
    name += u->file - 1;
    if (!name->file)
        TRY(file_of(u, name));
    u->has_row = true;
    u->row = (struct dap_row){.address = u->address,
                              .file = name->file - 1,
                              .line = (uint32_t)u->line,
                              .statement = u->is_statement};
    return ERR_ok;
}

static void begin_sequence(struct unit *u)
{
    u->address = 0;
    u->file = 1;
    u->line = 1;
    u->is_statement = u->statement;
    u->has_row = false;
}

/* ---- the program of a unit ---- */

static enum err run_extended(struct unit *u)
{
    uint64_t size = take_leb(&u->program, false);
    struct cursor part = take_part(&u->program, size);
    switch (take(&part, 1)) {
    case 1: /* end of the sequence */
        TRY(end_row(u));
        begin_sequence(u);
        break;
    case 2:
        u->address = take(&part, 8);
        break;
    case 3: { /* one more file */
        struct name name = {.text = take_text(&part)};
        name.folder = take_leb(&part, false);
        if (name.text)
            buf_put(&u->names, &name, sizeof name);
        return u->names.err;
    }
    }
    return ERR_ok;
}

static enum err run_standard(struct unit *u, unsigned opcode)
{
    struct cursor *c = &u->program;
    switch (opcode) {
    case 1:
        return begin_row(u);
    case 2:
        u->address += take_leb(c, false) * u->minimum;
        break;
    case 3:
        u->line += take_leb(c, true);
        break;
    case 4:
        u->file = take_leb(c, false);
        break;
    case 6:
        u->is_statement = !u->is_statement;
        break;
    case 8:
        u->address += (SPECIAL_MAX - u->base) / u->range * u->minimum;
        break;
    case 9:
        u->address += take(c, 2);
        break;
    default: /* columns and the like */
        for (unsigned i = 0; i < u->length[opcode]; i++)
            (void)take_leb(c, false);
    }
    return ERR_ok;
}

static enum err run_program(struct unit *u)
{
    begin_sequence(u);
    while (!u->program.bad && u->program.at < u->program.data.size) {
        unsigned opcode = (unsigned)take(&u->program, 1);
        if (opcode >= u->base) {
            unsigned advance = opcode - u->base;
            u->address += (uint64_t)(advance / u->range) * u->minimum;
            u->line += (uint64_t)(int64_t)(u->line_base + (int)(advance % u->range));
            TRY(begin_row(u));
        } else {
            TRY(opcode ? run_standard(u, opcode) : run_extended(u));
        }
    }
    return ERR_ok;
}

/* ---- the header of a unit ---- */

static enum err read_names(struct unit *u, struct cursor *c)
{
    const char *text;
    while ((text = take_text(c)) && *text)
        buf_put(&u->folders, &text, sizeof text);
    while ((text = take_text(c)) && *text) {
        struct name name = {.text = text, .folder = take_leb(c, false)};
        (void)take_leb(c, false); /* time */
        (void)take_leb(c, false); /* size */
        buf_put(&u->names, &name, sizeof name);
    }
    return u->folders.err ? u->folders.err : u->names.err;
}

static enum err read_unit(struct unit *u, struct cursor c)
{
    unsigned version = (unsigned)take(&c, 2);
    if (version < 2 || version > 4)
        return ERR_ok; /* the linker makes none */
    struct cursor head = take_part(&c, take(&c, 4));
    u->minimum = (unsigned)take(&head, 1);
    if (version == 4)
        (void)take(&head, 1); /* operations per instruction: 1 but for VLIW */
    u->statement = take(&head, 1) != 0;
    u->line_base = (int8_t)take(&head, 1);
    u->range = (unsigned)take(&head, 1);
    u->base = (unsigned)take(&head, 1);
    for (unsigned i = 1; i < u->base; i++)
        u->length[i] = (uint8_t)take(&head, 1);
    if (head.bad || !u->range || !u->base)
        return ERR_ok;
    TRY(read_names(u, &head));
    u->program = c;
    return run_program(u);
}

/* ---- the table ---- */

static int by_address(const void *a, const void *b)
{
    const struct dap_row *x = a, *y = b;
    if (x->address != y->address)
        return x->address < y->address ? -1 : 1;
    return x->order < y->order ? -1 : x->order > y->order;
}

static void sort(struct buf *buf)
{
    if (buf->size)
        qsort(buf->data, buf->size / sizeof(struct dap_row), sizeof(struct dap_row),
              by_address);
}

void dap_lines_init(struct dap_lines *lines)
{
    arena_init(&lines->arena, TEXT_SIZE_MAX);
    buf_init(&lines->files, FILE_MAX * sizeof(struct dap_file));
    buf_init(&lines->rows, ROWS_SIZE_MAX);
    buf_init(&lines->marks, ROWS_SIZE_MAX);
}

void dap_lines_free(struct dap_lines *lines)
{
    arena_fini(&lines->arena);
    buf_fini(&lines->files);
    buf_fini(&lines->rows);
    buf_fini(&lines->marks);
}

enum err dap_lines_add(struct dap_lines *lines, struct bytes elf, uint32_t program,
                       const char *root)
{
    struct bytes section;
    TRY(cli_elf64_section(elf, ".debug_line", &section));
    struct cursor c = {.data = section};
    enum err err = ERR_ok;
    while (!err && !c.bad && c.at < section.size) {
        struct unit u = {
            .lines = lines, .root = root, .shift = (uint64_t)program * CODE_BASE};
        buf_init(&u.folders, UNIT_FILE_MAX * sizeof(char *));
        buf_init(&u.names, UNIT_FILE_MAX * sizeof(struct name));
        err = read_unit(&u, take_part(&c, take(&c, 4)));
        buf_fini(&u.folders);
        buf_fini(&u.names);
    }
    sort(&lines->rows);
    sort(&lines->marks);
    return err;
}

/* ---- questions ---- */

static const struct dap_row *rows_of(const struct buf *buf)
{
    return (const struct dap_row *)(const void *)buf->data;
}

const struct dap_row *dap_lines_find(const struct dap_lines *lines, uint64_t address)
{
    const struct dap_row *row = rows_of(&lines->rows);
    size_t low = 0, high = lines->rows.size / sizeof *row;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (row[middle].address <= address)
            low = middle + 1;
        else
            high = middle;
    }
    return low && address < row[low - 1].end ? &row[low - 1] : NULL;
}

uint32_t dap_lines_file_count(const struct dap_lines *lines)
{
    return (uint32_t)(lines->files.size / sizeof(struct dap_file));
}

const struct dap_file *dap_lines_file_at(const struct dap_lines *lines, uint32_t file)
{
    return (const struct dap_file *)(const void *)lines->files.data + file;
}

/* Does a path end with this name, as a whole? */
static bool ends_with(const char *path, const char *name)
{
    size_t size = strlen(path), tail = strlen(name);
    return tail && size > tail && path[size - tail - 1] == '/' &&
           strcmp(path + size - tail, name) == 0;
}

bool dap_lines_file(const struct dap_lines *lines, const char *path, uint32_t *ret_file)
{
    uint32_t count = dap_lines_file_count(lines);
    for (uint32_t pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; i < count; i++) {
            const struct dap_file *file = dap_lines_file_at(lines, i);
            if (pass ? ends_with(path, file->name) : !strcmp(path, file->path)) {
                *ret_file = i;
                return true;
            }
        }
    }
    return false;
}

uint32_t dap_lines_next(const struct dap_lines *lines, uint32_t file, uint32_t line)
{
    const struct dap_row *mark = rows_of(&lines->marks);
    uint32_t least = 0;
    for (size_t i = 0; i < lines->marks.size / sizeof *mark; i++) {
        if (mark[i].file == file && mark[i].line >= line &&
            (!least || mark[i].line < least))
            least = mark[i].line;
    }
    return least;
}

bool dap_lines_mark(const struct dap_lines *lines, uint32_t file, uint32_t line,
                    uint32_t *at, uint64_t *ret_address)
{
    const struct dap_row *mark = rows_of(&lines->marks);
    size_t count = lines->marks.size / sizeof *mark;
    while (*at < count) {
        const struct dap_row *here = &mark[(*at)++];
        const struct dap_row *before = *at > 1 ? here - 1 : NULL;
        if (here->file != file || here->line != line)
            continue;
        /* Not once more for the next part of the same line. */
        if (before && before->file == file && before->line == line &&
            before->end == here->address)
            continue;
        *ret_address = here->address;
        return true;
    }
    return false;
}
