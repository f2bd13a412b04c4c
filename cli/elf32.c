/* SPDX-License-Identifier: MIT */
#include "cli/elf32.h"

#include <elf.h>
#include <string.h>

enum { NAME_SIZE_MAX = 4096 }; /* of sections */

static struct bytes part(struct bytes file, uint64_t offset, uint64_t size)
{
    if (offset > file.size || size > file.size - offset)
        return (struct bytes){0};
    return bytes_of(file.data + offset, (size_t)size);
}

static bool file_header(struct bytes file, Elf32_Ehdr *ret_header)
{
    if (file.size < sizeof *ret_header)
        return false;
    memcpy(ret_header, file.data, sizeof *ret_header);
    return memcmp(ret_header->e_ident, ELFMAG, SELFMAG) == 0 &&
           ret_header->e_ident[EI_CLASS] == ELFCLASS32;
}

static bool section_header(struct bytes file, const Elf32_Ehdr *elf, uint32_t index,
                           Elf32_Shdr *ret_header)
{
    struct bytes bytes =
        part(file, (uint64_t)elf->e_shoff + (uint64_t)index * sizeof *ret_header,
             sizeof *ret_header);
    if (index >= elf->e_shnum || !bytes.size)
        return false;
    memcpy(ret_header, bytes.data, sizeof *ret_header);
    return true;
}

const char *cli_elf32_section_name(struct bytes elf, uint32_t index)
{
    Elf32_Ehdr header;
    Elf32_Shdr names, section;
    if (!file_header(elf, &header) ||
        !section_header(elf, &header, header.e_shstrndx, &names) ||
        !section_header(elf, &header, index, &section))
        return NULL;
    uint64_t at = (uint64_t)names.sh_offset + section.sh_name;
    if (at >= elf.size)
        return NULL;
    size_t left = (size_t)(elf.size - at);
    bool ends = memchr(elf.data + at, 0, left < NAME_SIZE_MAX ? left : NAME_SIZE_MAX);
    return ends ? (const char *)elf.data + at : NULL;
}

struct bytes cli_elf32_section(struct bytes elf, const char *name)
{
    Elf32_Ehdr header;
    Elf32_Shdr section;
    if (!file_header(elf, &header))
        return (struct bytes){0};
    for (uint32_t i = 0; section_header(elf, &header, i, &section); i++) {
        const char *own = cli_elf32_section_name(elf, i);
        if (own && strcmp(own, name) == 0)
            return part(elf, section.sh_offset, section.sh_size);
    }
    return (struct bytes){0};
}
