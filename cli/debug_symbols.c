/* SPDX-License-Identifier: MIT */
#include "cli/debug_symbols.h"

#include <elf.h>
#include <string.h>

/* The list, and what has to be looked at for it. */
#define SYMBOLS_SIZE_MAX ((size_t)512 << 20)
#define NAMES_SIZE_MAX ((size_t)128 << 20)

/* Instructions.  A kernel that was loaded as it is maps itself at once; Debian's, when
 * it unpacks itself, after 2.3 * 10^9. */
#define FIRST_LOOK ((uint64_t)1 << 20)
/* From there on the way is long, and a look is little beside it: steps of an eighth, so
 * that we do not go much farther than we must. */
#define FINE_LOOKS ((uint64_t)1 << 24)

/* ---- the file ---- */

enum section { NONE, TEXT, INIT, SYMTAB, STRTAB, SHSTRTAB, SECTION_COUNT };
static const char section_names[] = "\0.text\0.init.text\0.symtab\0.strtab\0.shstrtab";
static const uint8_t section_name[SECTION_COUNT] = {0, 1, 7, 18, 26, 34};

enum { TAIL_SIZE = 4096 }; /* of a last function, whose size is not known */

static bool is_code(const struct replay_symbol *symbol)
{
    return strchr("TtWw", symbol->type) != NULL;
}

static bool is_end(const struct replay_symbol *symbol)
{
    return strcmp(symbol->name, "_etext") == 0 ||
           strcmp(symbol->name, "_einittext") == 0;
}

static uint32_t first_end(const struct replay_symbol_list *list)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->item[i].name, "_etext") == 0)
            return list->item[i].address;
    }
    return UINT32_MAX;
}

struct cli_symbol_ranges cli_symbols_ranges(const struct replay_symbol_list *list)
{
    struct cli_symbol_ranges found = {{{0}}};
    uint32_t middle = first_end(list);
    for (size_t i = 0; i < list->count; i++) {
        const struct replay_symbol *symbol = &list->item[i];
        bool behind = symbol->address > middle;
        uint32_t room = UINT32_MAX - symbol->address;
        uint32_t *end = &found.range[behind].end;
        if (!is_code(symbol))
            continue;
        if (!*end)
            found.range[behind].first = symbol->address;
        *end = symbol->address;
        if (!is_end(symbol) && symbol->address != middle)
            *end += room < TAIL_SIZE ? room : TAIL_SIZE;
    }
    return found;
}

static bool is_local(const struct replay_symbol *symbol)
{
    return symbol->type >= 'a' && symbol->type != 'w';
}

/* Up to the next symbol, in the same range. */
static uint32_t size_of(const struct replay_symbol_list *list, size_t index,
                        uint32_t end)
{
    const struct replay_symbol *symbol = &list->item[index];
    size_t next = index + 1;
    while (next < list->count && list->item[next].address == symbol->address)
        next++;
    if (next < list->count && list->item[next].address < end)
        end = list->item[next].address;
    return is_end(symbol) ? 0 : end - symbol->address;
}

unsigned cli_symbols_code(const struct replay_symbol_list *list, size_t index,
                          const struct cli_symbol_ranges *ranges, uint32_t *ret_size)
{
    const struct replay_symbol *symbol = &list->item[index];
    *ret_size = 0;
    for (unsigned i = 0; i < countof(ranges->range); i++) {
        uint32_t end = ranges->range[i].end;
        if (is_code(symbol) && symbol->address >= ranges->range[i].first &&
            symbol->address <= end && end) {
            *ret_size = size_of(list, index, end);
            return i + 1;
        }
    }
    return 0;
}

static void put_symbol(const struct replay_symbol_list *list, size_t index,
                       const struct cli_symbol_ranges *ranges, struct buf *symbols,
                       struct buf *names)
{
    const struct replay_symbol *symbol = &list->item[index];
    unsigned bind = is_local(symbol) ? STB_LOCAL : STB_GLOBAL;
    Elf32_Sym elf = {.st_name = (uint32_t)names->size,
                     .st_value = symbol->address,
                     .st_shndx = SHN_ABS};
    if (symbol->type == 'W' || symbol->type == 'w')
        bind = STB_WEAK;
    unsigned range = cli_symbols_code(list, index, ranges, &elf.st_size);
    elf.st_info = (uint8_t)ELF32_ST_INFO(bind, range ? STT_FUNC : STT_NOTYPE);
    if (range)
        elf.st_shndx = (uint16_t)(TEXT + range - 1);
    buf_put(symbols, &elf, sizeof elf);
    buf_put(names, symbol->name, strlen(symbol->name) + 1);
}

/* The local ones come first; answers the index of the first other. */
static uint32_t put_symbols(const struct replay_symbol_list *list,
                            const struct cli_symbol_ranges *ranges, struct buf *symbols,
                            struct buf *names)
{
    static const Elf32_Sym none;
    uint32_t locals = 1;
    buf_put(symbols, &none, sizeof none);
    buf_byte(names, 0);
    for (unsigned pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < list->count; i++) {
            if (is_local(&list->item[i]) != (pass == 0))
                continue;
            put_symbol(list, i, ranges, symbols, names);
            locals += pass == 0;
        }
    }
    return locals;
}

static Elf32_Shdr code_section(const struct cli_symbol_ranges *ranges, unsigned index)
{
    uint32_t first = ranges->range[index].first;
    return (Elf32_Shdr){.sh_type = SHT_NOBITS,
                        .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
                        .sh_addr = first,
                        .sh_offset = sizeof(Elf32_Ehdr),
                        .sh_size = ranges->range[index].end - first,
                        .sh_addralign = 1};
}

static void put_file(const struct cli_symbol_ranges *ranges, uint32_t locals,
                     struct bytes symbols, struct bytes names, struct buf *elf)
{
    const Elf32_Ehdr header = {
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC,
        .e_machine = EM_386,
        .e_version = EV_CURRENT,
        .e_entry = ranges->range[0].first,
        .e_shoff = sizeof header,
        .e_ehsize = sizeof header,
        .e_shentsize = sizeof(Elf32_Shdr),
        .e_shnum = SECTION_COUNT,
        .e_shstrndx = SHSTRTAB};
    Elf32_Shdr section[SECTION_COUNT] = {{0}};
    uint32_t at = sizeof header + sizeof section;
    section[TEXT] = code_section(ranges, 0);
    section[INIT] = code_section(ranges, 1);
    section[SYMTAB] = (Elf32_Shdr){.sh_type = SHT_SYMTAB,
                                   .sh_offset = at,
                                   .sh_size = (uint32_t)symbols.size,
                                   .sh_link = STRTAB,
                                   .sh_info = locals,
                                   .sh_addralign = 4,
                                   .sh_entsize = sizeof(Elf32_Sym)};
    section[STRTAB] = (Elf32_Shdr){.sh_type = SHT_STRTAB,
                                   .sh_offset = at + (uint32_t)symbols.size,
                                   .sh_size = (uint32_t)names.size,
                                   .sh_addralign = 1};
    section[SHSTRTAB] =
        (Elf32_Shdr){.sh_type = SHT_STRTAB,
                     .sh_offset = at + (uint32_t)symbols.size + (uint32_t)names.size,
                     .sh_size = sizeof section_names,
                     .sh_addralign = 1};
    for (unsigned i = 0; i < SECTION_COUNT; i++)
        section[i].sh_name = section_name[i];
    buf_put(elf, &header, sizeof header);
    buf_put(elf, section, sizeof section);
    buf_put(elf, symbols.data, symbols.size);
    buf_put(elf, names.data, names.size);
    buf_put(elf, section_names, sizeof section_names);
}

enum err cli_symbols_put(const struct replay_symbol_list *list, struct buf *elf)
{
    const struct cli_symbol_ranges ranges = cli_symbols_ranges(list);
    struct buf symbols, names;
    buf_init(&symbols, NAMES_SIZE_MAX);
    buf_init(&names, NAMES_SIZE_MAX);
    uint32_t locals = put_symbols(list, &ranges, &symbols, &names);
    enum err err = symbols.err ? symbols.err : names.err;
    if (!err)
        put_file(&ranges, locals, buf_bytes(&symbols), buf_bytes(&names), elf);
    buf_fini(&symbols);
    buf_fini(&names);
    return err ? err : elf->err;
}

/* ---- where it is found ---- */

enum err cli_symbols_look(const struct replay_guest *guest, cli_symbols_take *take,
                          void *self, bool *ret_found)
{
    struct replay_symbol_list list;
    struct arena arena;
    arena_init(&arena, SYMBOLS_SIZE_MAX);
    enum err err = guest->ops->symbols(guest->self, &arena, &list);
    bool none = err || !list.count;
    /* A guest whose tables ask for too much keeps no session from beginning. */
    if (err == ERR_nomem)
        err = ERR_ok;
    if (!none)
        err = take(self, &list);
    arena_fini(&arena);
    *ret_found = !none;
    return err;
}

bool cli_symbols_far(const struct replay_timeline *timeline)
{
    uint64_t after = replay_timeline_guest(timeline)->symbols_after;
    return after > FINE_LOOKS && replay_timeline_now(timeline).icount < FINE_LOOKS;
}

enum err cli_symbols_find(struct replay_timeline *timeline, cli_symbols_take *take,
                          void *self, bool *ret_found)
{
    const struct replay_guest *guest = replay_timeline_guest(timeline);
    struct replay_time back = replay_timeline_now(timeline);
    enum err err = ERR_ok;
    bool found = false;
    *ret_found = false;
    if (!guest->symbols_after)
        return ERR_ok;
    /* In front of the first instruction there is nothing to be found. */
    if (replay_time_compare(back, guest->start) > 0)
        err = cli_symbols_look(guest, take, self, &found);
    *ret_found = found;
    if (err || found)
        return err;
    for (uint64_t at = FIRST_LOOK; !err && !found && at <= guest->symbols_after;
         at += at < FINE_LOOKS ? at : at / 8) {
        struct replay_time to = {guest->start.icount + at, 0};
        /* Where the trace cannot be replayed any further, there may be one, too. */
        bool more = !replay_timeline_seek(timeline, to) &&
                    replay_time_compare(to, replay_timeline_end(timeline)) < 0;
        err = cli_symbols_look(guest, take, self, &found);
        if (!more)
            break;
    }
    *ret_found = found;
    enum err way = replay_timeline_seek(timeline, back);
    return err ? err : way;
}
