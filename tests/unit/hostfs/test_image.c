/* SPDX-License-Identifier: MIT
 *
 * Images: one tree as a directory, as tar in three dialects, as cpio and in our own
 * form has one digest; and what archives must not be.
 */
#define _GNU_SOURCE
#include "hostfs/hostfs.h"

#include "base/os.h"
#include "tests/test.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/lockstep-image-XXXXXX";
static struct hostfs_image_options usual;

static void shell(const char *command)
{
    char line[4096];
    (void)snprintf(line, sizeof line, "cd '%s' && { %s\n}", folder, command);
    if (system(line) != 0)
        fail_msg("shell: %s", command);
}

/* The digest, or the error of reading or loading. */
static enum err digest_of(struct arena *arena, const struct hostfs_image *image,
                          struct hash256 *ret_digest)
{
    struct v86fs_mem_options options;
    struct v86fs_ids ids;
    struct v86fs_mem *mem;
    uint64_t root;
    v86fs_mem_options_init(&options);
    options.node_count_max = (uint32_t)image->count + 1;
    options.quota = image->size + 4096;
    v86fs_ids_init(&ids);
    TRY(v86fs_mem_create(arena, &options, &ids, &mem));
    return v86fs_image_load(mem, image->entry, image->count, &root, ret_digest);
}

static enum err digest_of_bytes(struct bytes archive, struct hash256 *ret_digest)
{
    struct arena arena;
    struct hostfs_image image;
    arena_init(&arena, (size_t)1 << 30);
    enum err err = hostfs_archive_read(&arena, archive, &usual, &image);
    if (!err)
        err = digest_of(&arena, &image, ret_digest);
    arena_fini(&arena);
    return err;
}

static struct hash256 digest_of_file(const char *name)
{
    char path[128];
    struct buf file;
    struct hash256 digest;
    buf_init(&file, 64 << 20);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(os_file_read(path, &file), ERR_ok);
    assert_int_equal(digest_of_bytes(buf_bytes(&file), &digest), ERR_ok);
    buf_fini(&file);
    return digest;
}

static struct hash256 digest_of_tree(const char *name, struct buf *ret_own)
{
    char path[128];
    struct arena arena;
    struct hostfs_image image;
    struct hash256 digest;
    arena_init(&arena, (size_t)1 << 30);
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    assert_int_equal(hostfs_walk(&arena, path, &usual, &image), ERR_ok);
    assert_int_equal(digest_of(&arena, &image, &digest), ERR_ok);
    if (ret_own)
        hostfs_image_put(&image, ret_own);
    arena_fini(&arena);
    return digest;
}

#define assert_same(a, b) assert_memory_equal((a).byte, (b).byte, HASH256_SIZE)

/* Names in both orders of '/', '.' and letters; long ones; links; an empty file. */
static void test_one_digest(void **state)
{
    (void)state;
    struct buf own;
    struct hash256 read;
    buf_init(&own, 64 << 20);
    shell(
        "mkdir -p t/a/b t/a.b t/a-c; echo one >t/a/b/f; echo two >t/a.b/f; : >t/a-c/e;"
        "n=$(printf %0150d 7); mkdir t/$n; echo long >t/$n/$n; ln -s a/b/f t/l;"
        "ln -s $n/$n t/ll; chmod 4711 t/a/b/f; head -c 70000 /dev/zero >t/z;"
        "mkfifo t/pipe; find t -exec touch -hd @1600000000.25 {} +;"
        "touch -d @-5.5 t/z; rm t/pipe; touch -d @1600000000.25 t");
    struct hash256 tree = digest_of_tree("t", &own);
    shell("tar --format=pax -C t -cf pax.tar .");
    assert_same(tree, digest_of_file("pax.tar"));
    assert_int_equal(digest_of_bytes(buf_bytes(&own), &read), ERR_ok);
    assert_same(tree, read);
    /* The others know whole seconds only. */
    shell("find t -exec touch -hd @1600000000 {} +");
    tree = digest_of_tree("t", NULL);
    shell("tar --format=gnu -C t -cf gnu.tar . && rm -r t/000* t/ll &&"
          "touch -d @1600000000 t");
    assert_same(tree, digest_of_file("gnu.tar"));
    tree = digest_of_tree("t", NULL);
    shell("tar --format=ustar -C t -cf ustar.tar .");
    assert_same(tree, digest_of_file("ustar.tar"));
    buf_fini(&own);
}

/* Hard links become files, implied directories appear, pipes do not. */
static void test_conversions(void **state)
{
    (void)state;
    shell("mkdir -p h/d; echo x >h/d/f; ln h/d/f h/d/g; mkfifo h/p;"
          "touch -d @1 h/d/f; touch -d @0 h h/d;"
          "tar --format=pax -C h -cf h1.tar d/f d/g;"
          "mkdir -p i/d; echo x >i/d/f; echo x >i/d/g; touch -d @1 i/d/f i/d/g;"
          "touch -d @0 i/d i; tar --format=pax -C i -cf i1.tar d");
    assert_same(digest_of_file("h1.tar"), digest_of_file("i1.tar"));
    assert_same(digest_of_tree("h", NULL), digest_of_tree("i", NULL));
}

static void test_options(void **state)
{
    (void)state;
    shell("mkdir -p o; echo abc >o/f; touch -d @7 o/f; touch -d @7 o;"
          "tar --format=pax -C o -cf o.tar .; touch o/f o");
    usual.set_mtime = true;
    usual.mtime = 7;
    struct hash256 fixed = digest_of_tree("o", NULL);
    usual.set_mtime = false;
    assert_same(fixed, digest_of_file("o.tar"));
    usual.entry_count_max = 1;
    struct hash256 digest;
    struct buf file;
    char path[128];
    buf_init(&file, 1 << 20);
    (void)snprintf(path, sizeof path, "%s/o.tar", folder);
    assert_int_equal(os_file_read(path, &file), ERR_ok);
    assert_int_equal(digest_of_bytes(buf_bytes(&file), &digest), ERR_limit);
    usual.entry_count_max = 100;
    usual.size_max = 4000;
    assert_int_equal(digest_of_bytes(buf_bytes(&file), &digest), ERR_limit);
    buf_fini(&file);
    hostfs_image_options_init(&usual);
}

/* ---- archives that a test writes itself ---- */

static void put_cpio(struct buf *buf, const char *path, unsigned mode, unsigned ino,
                     unsigned nlink, const char *data)
{
    size_t name = strlen(path) + 1, size = strlen(data);
    buf_printf(buf, "070701%08X%08X%08X%08X%08X%08X%08zX%08X%08X%08X%08X%08zX%08X", ino,
               mode, 0, 0, nlink, 5, size, 0, 0, 0, 0, name, 0);
    buf_put(buf, path, name);
    while (buf->size % 4)
        buf_byte(buf, 0);
    buf_put(buf, data, size);
    while (buf->size % 4)
        buf_byte(buf, 0);
}

static void put_tar(struct buf *buf, const char *path, char type, const char *target,
                    const char *data)
{
    uint8_t header[512] = {0};
    unsigned sum = 0;
    memcpy(header, path, strlen(path));
    memcpy(header + 100, "0000644", 8);
    (void)snprintf((char *)header + 124, 12, "%011o", (unsigned)strlen(data));
    memcpy(header + 136, "00000000005", 12);
    header[156] = (uint8_t)type;
    memcpy(header + 157, target, strlen(target));
    memcpy(header + 257, "ustar\00000", 8);
    memset(header + 148, ' ', 8);
    for (unsigned i = 0; i < sizeof header; i++)
        sum += header[i];
    (void)snprintf((char *)header + 148, 8, "%06o", sum);
    buf_put(buf, header, sizeof header);
    buf_put(buf, data, strlen(data));
    while (buf->size % 512)
        buf_byte(buf, 0);
}

static void test_cpio(void **state)
{
    (void)state;
    struct buf cpio, tar;
    struct hash256 a, b;
    buf_init(&cpio, 1 << 20);
    buf_init(&tar, 1 << 20);
    put_cpio(&cpio, "d", 0040755, 1, 2, "");
    put_cpio(&cpio, "d/one", 0100644, 2, 2, "");
    put_cpio(&cpio, "./two", 0100644, 2, 2, "shared");
    put_cpio(&cpio, "d/l", 0120777, 3, 1, "one");
    put_cpio(&cpio, "TRAILER!!!", 0, 0, 1, "");
    assert_int_equal(digest_of_bytes(buf_bytes(&cpio), &a), ERR_ok);
    put_tar(&tar, "two", '0', "", "shared");
    put_tar(&tar, "d/l", '2', "one", "");
    put_tar(&tar, "d/one", '1', "./two", "");
    put_tar(&tar, "d/", '5', "", "");
    tar.data[512 * 4 + 104] = '7'; /* mode 0755 */
    tar.data[512 * 4 + 105] = '5';
    tar.data[512 * 4 + 106] = '5';
    (void)snprintf((char *)tar.data + 512 * 4 + 148, 8, "%06o",
                   (unsigned)strtoul((char *)tar.data + 512 * 4 + 148, NULL, 8) + 3);
    assert_int_equal(digest_of_bytes(buf_bytes(&tar), &b), ERR_ok);
    assert_same(a, b);
    buf_fini(&cpio);
    buf_fini(&tar);
}

static void test_refused(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        char type;
        const char *target, *data;
    } bad[] = {
        {"/etc/passwd", '0', "", "x"},
        {"../up", '0', "", "x"},
        {"a/../b", '0', "", "x"},
        {"a//b", '0', "", "x"},
        {"a/./b", '0', "", "x"},
        {"c", '1', "none", ""},
        {"c", '3', "", ""},
        {"c", '4', "", ""},
        {"c", '6', "", ""},
        {"c", 'S', "", ""},
        {"c", '2', "", ""},
        {"first", '0', "", "again"},
        {"first/below", '0', "", "x"},
        {"x", 'x', "", "9 path=ab\n"},
        {"x", 'x', "", "11 size=1x\n"},
        {"x", 'x', "", "999 path=ab\n"},
        {"x", 'x', "", "22 GNU.sparse.size=10\n"},
        {"x", 'x', "", "8 nopath\n"},
    };
    struct buf tar;
    struct hash256 digest;
    buf_init(&tar, 1 << 20);
    for (size_t i = 0; i < countof(bad); i++) {
        buf_clear(&tar);
        put_tar(&tar, "first", '0', "", "1");
        put_tar(&tar, bad[i].path, bad[i].type, bad[i].target, bad[i].data);
        put_tar(&tar, "zlast", '0', "", "1");
        enum err err = digest_of_bytes(buf_bytes(&tar), &digest);
        if (err != ERR_v86fs_image)
            fail_msg("row %zu: %s", i, err_name(err));
    }
    assert_int_equal(digest_of_bytes(bytes_of("short", 5), &digest), ERR_v86fs_image);
    buf_clear(&tar);
    put_tar(&tar, "first", '0', "", "1");
    tar.data[0] = 'F'; /* the checksum is wrong */
    assert_int_equal(digest_of_bytes(buf_bytes(&tar), &digest), ERR_v86fs_image);
    buf_clear(&tar);
    put_cpio(&tar, "dev", 0020644, 1, 1, "");
    assert_int_equal(digest_of_bytes(buf_bytes(&tar), &digest), ERR_v86fs_image);
    buf_fini(&tar);
}

static int setup(void **state)
{
    (void)state;
    hostfs_image_options_init(&usual);
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    char line[128];
    (void)state;
    (void)snprintf(line, sizeof line, "rm -rf '%s'", folder);
    return system(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_digest), cmocka_unit_test(test_conversions),
        cmocka_unit_test(test_options),    cmocka_unit_test(test_cpio),
        cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
