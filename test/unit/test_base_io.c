/* Files: whole or not at all, errors that name the path. */
#include "../test.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "base/hash.h"
#include "base/io.h"
#include "base/mem.h"

static char path_[512];

static const char *tmp(const char *name)
{
	snprintf(path_, sizeof(path_), "%s/%s", test_tmp(), name);
	return path_;
}

static bool holds(const char *path, const char *text)
{
	struct buf b = BUF_INIT;
	struct err e = ERR_INIT;
	bool same = io_read(&b, path, &e) == 0 && strcmp(buf_str(&b), text) == 0;
	buf_release(&b);
	return same;
}

static void reading(struct test *t)
{
	struct err e = ERR_INIT;
	struct mapping m;
	struct buf b = BUF_INIT, little = { .max = 3 };
	size_t size;
	char hex[33], want[33];
	test_case(t, "write, read, map, size, hash");
	CHECK(t, io_write(tmp("a.txt"), "hello", 5, &e) == 0 && holds(tmp("a.txt"), "hello"));
	CHECK(t, io_map(&m, tmp("a.txt"), &e) == 0 && m.size == 5 && memcmp(m.data, "hello", 5) == 0);
	io_unmap(&m);
	CHECK(t, io_size(tmp("a.txt"), &size, &e) == 0 && size == 5 && io_exists(tmp("a.txt")) &&
	                 !io_is_dir(tmp("a.txt")));
	hash_hex("hello", 5, want);
	CHECK(t, io_hash(tmp("a.txt"), hex, &e) == 0 && strcmp(hex, want) == 0);
	CHECK(t,
	      io_write(tmp("empty"), NULL, 0, &e) == 0 && io_map(&m, tmp("empty"), &e) == 0 && m.size == 0 && !m.data);
	io_unmap(&m);
	test_case(t, "a missing file, a folder, a file too large");
	CHECK(t, io_map(&m, tmp("nothing"), &e) == -1 && strstr(e.msg, "nothing: No such file"));
	CHECK(t, io_read(&b, tmp("nothing"), &e) == -1 && strstr(e.msg, "cannot open") && strstr(e.msg, "nothing"));
	CHECK(t, io_map(&m, test_tmp(), &e) == -1 && strstr(e.msg, "not a regular file"));
	CHECK(t, io_read(&b, test_tmp(), &e) == -1 && strstr(e.msg, "Is a directory"));
	CHECK(t, io_hash(test_tmp(), hex, &e) == -1 && io_size(tmp("nothing"), &size, &e) == -1);
	CHECK(t, io_read(&little, tmp("a.txt"), &e) == -1 && strstr(e.msg, "has more than 3 bytes"));
	buf_release(&little);
	buf_release(&b);
}

static void writing(struct test *t)
{
	struct err e = ERR_INIT;
	struct io_writer w;
	char **names;
	size_t n;
	test_case(t, "an aborted write leaves the old file and no temporary");
	CHECK(t, io_mkdirs(tmp("w"), &e) == 0 && io_write(tmp("w/f"), "old", 3, &e) == 0);
	CHECK(t, io_writer_open(&w, tmp("w/f"), &e) == 0 && io_writer_add(&w, "new", 3, &e) == 0);
	CHECK(t, holds(tmp("w/f"), "old"));
	io_writer_abort(&w);
	CHECK(t, io_list(tmp("w"), &names, &n, &e) == 0 && n == 1 && holds(tmp("w/f"), "old"));
	io_list_free(names, n);
	test_case(t, "a committed write replaces it");
	CHECK(t, io_writer_open(&w, tmp("w/f"), &e) == 0 && io_writer_add(&w, "ne", 2, &e) == 0 &&
	                 io_writer_add(&w, "w", 1, &e) == 0);
	CHECK(t, w.written == 3 && io_writer_commit(&w, &e) == 0);
	io_writer_abort(&w);
	CHECK(t, io_list(tmp("w"), &names, &n, &e) == 0 && n == 1 && holds(tmp("w/f"), "new"));
	io_list_free(names, n);
	test_case(t, "a full disk, a missing folder, a target that is a folder");
	CHECK(t, io_write(tmp("no/such/f"), "x", 1, &e) == -1 && strstr(e.msg, "no/such/f"));
	CHECK(t, io_mkdirs(tmp("w/dir/x"), &e) == 0 && io_write(tmp("w/dir"), "x", 1, &e) == -1);
	CHECK(t, io_list(tmp("w"), &names, &n, &e) == 0 && n == 2);
	io_list_free(names, n);
	if (access("/dev/full", W_OK) == 0)
		CHECK(t, io_append("/dev/full", "x", 1, &e) == -1 && strstr(e.msg, "No space left"));
	test_case(t, "append and shorten");
	CHECK(t, io_append(tmp("log"), "one\n", 4, &e) == 0 && io_append(tmp("log"), "two\n", 4, &e) == 0 &&
	                 holds(tmp("log"), "one\ntwo\n"));
	CHECK(t, io_truncate(tmp("log"), 4, &e) == 0 && holds(tmp("log"), "one\n") &&
	                 io_truncate(tmp("nothing"), 0, &e) == -1);
}

static void inflating(struct test *t)
{
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT, raw = BUF_INIT, little = { .max = 1000 };
	char line[64];
	test_case(t, "gzip, two members, and plain bytes");
	gzFile z = gzopen(tmp("z.gz"), "wb");
	for (int i = 0; i < 200000; i++)
		gzwrite(z, line, (unsigned)snprintf(line, sizeof(line), "line %d\n", i));
	gzclose(z);
	CHECK(t,
	      io_read_gz(&b, tmp("z.gz"), &e) == 0 && b.len == 2288890 && strncmp(b.data, "line 0\nline 1\n", 14) == 0);
	CHECK(t, io_read(&raw, tmp("z.gz"), &e) == 0 && raw.len < b.len);
	CHECK(t, io_append(tmp("z.gz"), raw.data, raw.len, &e) == 0);
	buf_clear(&b);
	CHECK(t, io_read_gz(&b, tmp("z.gz"), &e) == 0 && b.len == 2 * 2288890);
	buf_clear(&b);
	CHECK(t, io_write(tmp("plain"), "plain", 5, &e) == 0 && io_read_gz(&b, tmp("plain"), &e) == 0 &&
	                 strcmp(b.data, "plain") == 0);
	test_case(t, "gzip cut short, damaged, or too large");
	CHECK(t, io_write(tmp("cut.gz"), raw.data, raw.len - 9, &e) == 0 && io_read_gz(&b, tmp("cut.gz"), &e) == -1 &&
	                 strstr(e.msg, "cut short"));
	memset(raw.data + raw.len / 2, 0x55, 200);
	CHECK(t, io_write(tmp("bad.gz"), raw.data, raw.len, &e) == 0 && io_read_gz(&b, tmp("bad.gz"), &e) == -1 &&
	                 strstr(e.msg, "damaged"));
	CHECK(t, io_write(tmp("two.gz"), "\x1f\x8b", 2, &e) == 0 && io_read_gz(&b, tmp("two.gz"), &e) == -1);
	CHECK(t, io_read_gz(&little, tmp("z.gz"), &e) == -1 && strstr(e.msg, "1000 bytes"));
	buf_release(&b);
	buf_release(&raw);
	buf_release(&little);
}

static void folders(struct test *t)
{
	struct err e = ERR_INIT;
	char **names;
	size_t n, space = 0;
	bool empty;
	test_case(t, "folders: make, list, rename, remove");
	CHECK(t, io_dir_is_empty(tmp("d"), &empty, &e) == 0 && empty);
	CHECK(t, io_mkdirs(tmp("d/e//f/"), &e) == 0 && io_mkdirs(tmp("d/e/f"), &e) == 0 && io_is_dir(tmp("d/e/f")));
	CHECK(t, io_dir_is_empty(tmp("d"), &empty, &e) == 0 && !empty &&
	                 io_dir_is_empty(tmp("d/e/f"), &empty, &e) == 0 && empty);
	CHECK(t, io_write(tmp("d/b"), "x", 1, &e) == 0 && io_write(tmp("d/B"), "x", 1, &e) == 0 &&
	                 io_write(tmp("d/a"), "x", 1, &e) == 0);
	CHECK(t, io_list(tmp("d"), &names, &n, &e) == 0 && n == 4);
	CHECK(t, n == 4 && strcmp(names[0], "B") == 0 && strcmp(names[1], "a") == 0 && strcmp(names[3], "e") == 0);
	io_list_free(names, n);
	char *from = mem_strdup(tmp("d")), *link = mem_strdup(tmp("keep"));
	CHECK(t, io_mkdirs(link, &e) == 0 && symlink(link, tmp("d/e/link")) == 0);
	CHECK(t, io_rename_dir(from, tmp("moved"), &e) == 0 && io_exists(tmp("moved/e/f")) && !io_exists(from));
	CHECK(t, io_rename_dir(from, tmp("again"), &e) == -1 && strstr(e.msg, "cannot rename"));
	CHECK(t, io_remove_tree(tmp("moved"), &e) == 0 && !io_exists(tmp("moved")) && io_is_dir(link) &&
	                 io_remove_tree(from, &e) == 0);
	mem_free(from);
	mem_free(link);
	CHECK(t, io_mkdirs(tmp("a.txt/x"), &e) == -1 && strstr(e.msg, "a.txt"));
	CHECK(t, io_list(tmp("nothing"), &names, &n, &e) == -1 && io_dir_is_empty(tmp("a.txt"), &empty, &e) == -1);
	CHECK(t, io_free_space(tmp("not/there/yet"), &space, &e) == 0 && space > 0);
	CHECK(t, io_free_space("relative", &space, &e) == 0 && space > 0);
	CHECK(t, io_need_space(tmp("not/there/yet"), 0, "it", &e) == 0);
	CHECK(t, io_need_space(tmp("not/there/yet"), SIZE_MAX, "it", &e) < 0 && strstr(e.msg, ": it needs 184467440"));
}

static void names(struct test *t)
{
	test_case(t, "names of files");
	char *p = io_join("a", "b"), *q = io_join("a/", "b"), *r = io_join("", "b");
	CHECK(t, strcmp(p, "a/b") == 0 && strcmp(q, "a/b") == 0 && strcmp(r, "b") == 0);
	mem_free(p);
	mem_free(q);
	mem_free(r);
	CHECK(t, strcmp(io_basename("/x/y.z"), "y.z") == 0 && strcmp(io_basename("y"), "y") == 0);
}

/* What stands at the place stays what it is: a link, a mode, a pipe; a temporary is nobody's to guess. */
static void places(struct test *t)
{
	struct err e = ERR_INIT;
	struct io_writer w;
	struct stat st;
	char **names = NULL, got[8] = "";
	size_t n = 0;

	test_case(t, "a link is followed, a mode kept, a pipe written into");
	CHECK(t, io_mkdirs(tmp("places/in"), &e) == 0 && io_write(tmp("places/in/target"), "old", 3, &e) == 0);
	CHECK(t, chmod(tmp("places/in/target"), 0600) == 0 && symlink("in/target", tmp("places/link")) == 0);
	CHECK(t, io_write(tmp("places/link"), "new", 3, &e) == 0 && holds(tmp("places/in/target"), "new"));
	CHECK(t, lstat(tmp("places/link"), &st) == 0 && S_ISLNK(st.st_mode));
	CHECK(t, stat(tmp("places/link"), &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(t, symlink("in/later", tmp("places/dangling")) == 0 &&
	                 io_write(tmp("places/dangling"), "x", 1, &e) == 0 && holds(tmp("places/in/later"), "x"));
	CHECK(t, symlink("circle", tmp("places/circle")) == 0 && io_write(tmp("places/circle"), "x", 1, &e) == -1);
	CHECK(t, mkfifo(tmp("places/pipe"), 0600) == 0);
	int fd = open(tmp("places/pipe"), O_RDONLY | O_NONBLOCK);
	CHECK(t,
	      io_write(tmp("places/pipe"), "through", 7, &e) == 0 && read(fd, got, 7) == 7 && !strcmp(got, "through"));
	close(fd);
	CHECK(t, lstat(tmp("places/pipe"), &st) == 0 && S_ISFIFO(st.st_mode));
	CHECK(t, io_write(tmp("places/in"), "x", 1, &e) == -1 && strstr(e.msg, "directory"));

	test_case(t, "a folder has one writer, and the second hears who the first is");
	int lock, second;
	char pid[32];
	snprintf(pid, sizeof(pid), "process %ld", (long)getpid());
	CHECK(t, io_lock_dir(tmp("places"), &lock, &e) == 0 && io_lock_dir(tmp("places"), &second, &e) == -1);
	CHECK_MSG(t, strstr(e.msg, pid), "%s", e.msg);
	io_unlock(lock);
	CHECK(t, io_lock_dir(tmp("places"), &lock, &e) == 0);
	io_unlock(lock);

	test_case(t, "what is not finished has no name that anybody could plant or find");
	CHECK(t, io_mkdirs(tmp("unfinished"), &e) == 0 && io_writer_open(&w, tmp("unfinished/f"), &e) == 0);
	CHECK(t, io_writer_add(&w, "half", 4, &e) == 0 && io_list(tmp("unfinished"), &names, &n, &e) == 0);
	CHECK(t, n == (w.unnamed ? 0 : 1));
	io_list_free(names, n);
	io_writer_abort(&w);
}

void test_base_io(struct test *t)
{
	reading(t);
	writing(t);
	inflating(t);
	folders(t);
	names(t);
	places(t);
}
