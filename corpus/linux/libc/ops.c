/* SPDX-License-Identifier: MIT
 *
 * ops FOLDER meta|write|read COUNT: operations on a file tree, for measuring.
 *
 *   meta    COUNT times: mkdir, create and close, stat, chmod, rename, unlink, rmdir,
 *           and a look-up of a name that is missing: eight operations
 *   write   COUNT MiB in pieces of 64 KiB into one file, and fsync
 *   read    the same file, in the same pieces
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PIECE = 65536 };

static bool one_round(int i)
{
    char folder[32], file[64], moved[64], none[64];
    struct stat st;
    (void)snprintf(folder, sizeof folder, "d%d", i);
    (void)snprintf(file, sizeof file, "%s/file", folder);
    (void)snprintf(moved, sizeof moved, "%s/moved", folder);
    (void)snprintf(none, sizeof none, "%s/none", folder);
    if (mkdir(folder, 0755))
        return false;
    int fd = open(file, O_CREAT | O_WRONLY, 0644);
    return fd >= 0 && close(fd) == 0 && stat(file, &st) == 0 &&
           chmod(file, 0600) == 0 && stat(none, &st) != 0 && rename(file, moved) == 0 &&
           unlink(moved) == 0 && rmdir(folder) == 0;
}

static bool meta(int count)
{
    for (int i = 0; i < count; i++)
        if (!one_round(i))
            return false;
    return true;
}

static bool transfer(int count, bool writing)
{
    static char piece[PIECE];
    int fd = open("data", writing ? O_CREAT | O_TRUNC | O_WRONLY : O_RDONLY, 0644);
    if (fd < 0)
        return false;
    for (int i = 0; i < count * (1 << 20) / PIECE; i++) {
        memset(piece, i, writing ? sizeof piece : 0);
        ssize_t size = writing ? write(fd, piece, PIECE) : read(fd, piece, PIECE);
        if (size != PIECE || piece[i % PIECE] != (char)i)
            return false;
    }
    return (!writing || fsync(fd) == 0) && close(fd) == 0;
}

int main(int argc, char **argv)
{
    if (argc != 4 || chdir(argv[1]) != 0)
        return 125;
    int count = atoi(argv[3]);
    bool good = strcmp(argv[2], "meta") == 0    ? meta(count)
                : strcmp(argv[2], "write") == 0 ? transfer(count, true)
                : strcmp(argv[2], "read") == 0  ? transfer(count, false)
                                                : false;
    (void)printf("ops: %s %d: %s\n", argv[2], count, good ? "done" : "failed");
    return !good;
}
