/* SPDX-License-Identifier: MIT
 *
 * writer - writes files as long as its quota lasts: 4096 to mint each page and 4096 to
 * save it.
 */
#include "jar.h"

enum { QUOTA = 1, PAGE = 50, LINE_SIZE = 64 };

static char page[JAR_PAGE_SIZE];

static uint64_t put_number(char *to, uint64_t number)
{
    char digits[20];
    uint64_t count = 0;
    do {
        digits[count++] = (char)('0' + number % 10);
        number /= 10;
    } while (number);
    for (uint64_t i = 0; i < count; i++)
        to[i] = digits[count - 1 - i];
    return count;
}

/* `count` files of `lines` lines each; answers the number of the last. */
static uint64_t write(uint64_t count, uint64_t lines)
{
    uint64_t file = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = 0;
        for (uint64_t j = 0; j < lines && at < sizeof page - LINE_SIZE; j++) {
            memcpy(page + at, "line ", 5);
            at += 5 + put_number(page + at + 5, i * lines + j);
            page[at++] = '\n';
        }
        jar_mint(page, at, QUOTA, PAGE);
        file = jar_save(PAGE, QUOTA);
    }
    return file;
}

/* The bytes of a file, added up. */
static uint64_t sum(uint64_t file)
{
    uint64_t total = 0;
    jar_open(file, PAGE);
    uint64_t size = jar_read(PAGE, page, sizeof page);
    for (uint64_t i = 0; i < size; i++)
        total += (uint8_t)page[i];
    return total;
}

PVM_EXPORT(0, write);
PVM_EXPORT(1, sum);
