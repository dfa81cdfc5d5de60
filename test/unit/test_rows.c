/* Rows: every shape by its keys, files and folders in order, and each kind of broken line by its number. */
#include <stdlib.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "data/shape.h"
#include "../test.h"

/* --- shapes --- */

/* wanted: NULL for none. */
static void check_shape(struct test *t, const char *text, const char *wanted)
{
	struct err e = ERR_INIT;
	json_t *j = jsonx_load(text, strlen(text), "row", &e);
	CHECK_MSG(t, j, "%s", e.msg);
	const struct shape *got = shape_of(j);
	CHECK_MSG(t, got ? wanted && !strcmp(got->name, wanted) : !wanted, "%s: %s, wanted %s", text, shape_name(got),
	          wanted);
	json_decref(j);
}

static void test_shapes(struct test *t)
{
	test_case(t, "shapes");
	check_shape(t, "{\"text\": \"a\"}", "text");
	check_shape(t, "{\"messages\": []}", "messages");
	check_shape(t, "{\"conversations\": []}", "conversations");
	check_shape(t, "{\"instruction\": \"a\", \"output\": \"b\"}", "instruction,output");
	check_shape(t, "{\"instruction\": \"a\", \"input\": \"\", \"output\": \"b\"}", "instruction,output");
	check_shape(t, "{\"prompt\": \"a\", \"completion\": \"b\"}", "prompt,completion");
	check_shape(t, "{\"prompt\": [], \"completion\": []}", "prompt,completion");
	check_shape(t, "{\"prompt\": \"a\", \"chosen\": \"b\", \"rejected\": \"c\"}", "prompt,chosen,rejected");
	check_shape(t, "{\"prompt\": \"a\", \"completion\": \"b\", \"label\": true}", "prompt,completion,label");
	check_shape(t, "{\"query\": \"a\", \"choices\": [\"b\"], \"gold\": 0}", "query,choices,gold");
	check_shape(t, "{}", NULL);
	check_shape(t, "{\"text\": 1}", NULL);
	check_shape(t, "{\"messages\": \"a\"}", NULL);
	check_shape(t, "{\"query\": \"a\", \"choices\": [\"b\"]}", NULL);

	test_case(t, "the most specific shape, keys in any order, others kept");
	check_shape(t, "{\"text\": \"all of it\", \"output\": \"b\", \"instruction\": \"a\", \"id\": 7}",
	            "instruction,output");
	check_shape(t, "{\"label\": \"a string\", \"completion\": \"b\", \"prompt\": \"a\"}", "prompt,completion");
	check_shape(t, "{\"text\": \"x\", \"messages\": []}", "messages");
	check_shape(t, "{\"prompt\": \"x\", \"text\": \"a\"}", "text");
	check_shape(t, "{\"prompt\": \"x\", \"id\": 7}", "prompt");
	check_shape(t, "{\"prompt\": \"x\", \"completion\": 4}", NULL);
}

/* --- files --- */

static char *write_file(struct test *t, const char *name, const void *data, size_t n)
{
	struct err e = ERR_INIT;
	char *path = io_join(test_tmp(), name);
	CHECK_MSG(t, io_write(path, data, n, &e) == 0, "%s", e.msg);
	return path;
}

static void check_loads(struct test *t, const char *text, size_t n_rows, size_t last_line)
{
	struct err e = ERR_INIT;
	struct rows r;
	char *path = write_file(t, "rows.jsonl", text, strlen(text));
	CHECK_MSG(t, rows_load(&r, path, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, r.n == n_rows, "%zu rows", r.n);
	CHECK(t, r.n == 0 || (r.items[r.n - 1].line == last_line && strcmp(r.items[r.n - 1].file, path) == 0));
	rows_release(&r);
	mem_free(path);
}

static void check_refused(struct test *t, const char *text, size_t n, const char *where, const char *what)
{
	struct err e = ERR_INIT;
	struct rows r;
	char *path = write_file(t, "bad.jsonl", text, n), *begin = mem_printf("%s:%s: ", path, where);
	CHECK(t, rows_load(&r, path, &e) < 0);
	CHECK_MSG(t, strncmp(e.msg, begin, strlen(begin)) == 0 && strstr(e.msg, what), "\"%s\", wanted \"%s…%s\"",
	          e.msg, begin, what);
	CHECK(t, r.n == 0 && !r.items);
	mem_free(begin);
	mem_free(path);
}

static void check_refused_text(struct test *t, const char *text, const char *where, const char *what)
{
	check_refused(t, text, strlen(text), where, what);
}

static void test_lines(struct test *t)
{
	test_case(t, "lines");
	check_loads(t, "", 0, 0);
	check_loads(t, "\n \t\r\n", 0, 0);
	check_loads(t, "{\"text\": \"a\"}", 1, 1);
	check_loads(t, "{\"text\": \"a\"}\r\n\r\n{\"text\": \"b\"}\r\n", 2, 3);
	check_loads(t, "\xef\xbb\xbf{\"text\": \"a\"}\n{\"text\": \"b\", \"more\": [1, {}]}\n", 2, 2);

	test_case(t, "an array in a file of lines");
	check_loads(t, "[\n{\"text\": \"a\"},\n{\"text\": \"b\"}\n]\n", 2, 2);

	test_case(t, "refused, with the line");
	check_refused_text(t, "{\"text\": \"a\"}\n\n{\"text\": \"b\"\n", "3", "not JSON");
	check_refused_text(t, "{\"text\": \"a\", \"text\": \"b\"}\n", "1", "duplicate");
	check_refused_text(t, "{\"text\": \"a\"} {\"text\": \"b\"}\n", "1", "not JSON: column");
	check_refused_text(t, "{\"text\": \"a\"}\n[1]\n", "2", "one JSON object a line");
	check_refused_text(t, "[\n{\"text\": \"a\"}\n", "1", "not JSON"); /* an array whose end is missing */
	check_refused_text(t, "{\"text\": \"a\"}\n{\"text\": \"b\xff\"}\n", "2", "invalid UTF-8 at byte 12");
	check_refused_text(t, "{\"text\": \"\\ud800\"}\n", "1", "not JSON");
	check_refused_text(t, "{\"text\": \"a\"}\n{\"prompt\": \"a\", \"completion\": \"b\"}\n", "2",
	                   "a row of prompt,completion among rows of text");
	check_refused_text(t, "{\"text\": \"a\"}\n{\"test\": \"a\", \"id\": 1}\n", "2", "the keys test, id");
	check_refused_text(t, "{}\n", "1", "the keys (none)");
	check_refused_text(t, "{\"query\": \"a\", \"choices\": [\"b\", \"c\"], \"gold\": 2}\n", "1", "gold is 2");
	check_refused_text(t, "{\"query\": \"a\", \"choices\": [\"b\", \"c\"], \"gold\": -1}\n", "1", "gold is -1");
	check_refused_text(t, "{\"query\": \"a\", \"choices\": [], \"gold\": 0}\n", "1", "gold is 0");
	check_refused_text(t, "{\"query\": \"a\", \"choices\": [\"b\", 3], \"gold\": 0}\n", "1",
	                   "choice 1 is not a text");
	check_refused(t, "{\"text\": \"a\"}\n\0\0\n", 17, "2", "not JSON");
}

static void test_depth(struct test *t)
{
	struct buf b = BUF_INIT;
	test_case(t, "nested without end");
	buf_adds(&b, "{\"text\": \"a\", \"x\": ");
	for (int i = 0; i < 100000; i++)
		buf_addc(&b, '[');
	check_refused(t, buf_str(&b), b.len, "1", "not JSON");
	buf_release(&b);
}

/* --- folders, gzip --- */

/* gzip -n of {"text": "z"} and a line end. */
static const uint8_t gz[] = {
	0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x03, 0xab, 0x56, 0x2a, 0x49, 0xad, 0x28, 0x51,
	0xb2, 0x52, 0x50, 0xaa, 0x52, 0xaa, 0xe5, 0x02, 0x00, 0x23, 0x02, 0x32, 0xa7, 0x0e, 0x00, 0x00, 0x00,
};

static const char *text_of(const struct rows *r, size_t i)
{
	return json_string_value(json_object_get(r->items[i].json, "text"));
}

static void test_folder(struct test *t)
{
	static const char a[] = "{\"text\": \"a1\"}\n{\"text\": \"a2\"}\n", b[] = "{\"text\": \"b\"}";
	struct err e = ERR_INIT;
	struct rows r, again;
	char *dir = io_join(test_tmp(), "rows"), *path;

	test_case(t, "a folder, in the order of names");
	CHECK(t, io_mkdirs(dir, &e) == 0);
	CHECK(t, rows_load(&r, dir, &e) < 0 && strstr(e.msg, "no .jsonl"));
	mem_free(write_file(t, "rows/b.jsonl", b, strlen(b)));
	mem_free(write_file(t, "rows/a.jsonl", a, strlen(a)));
	mem_free(write_file(t, "rows/README", "not rows", 8));
	path = write_file(t, "rows/c.jsonl.gz", gz, sizeof(gz));
	CHECK_MSG(t, rows_load(&r, dir, &e) == 0, "%s", e.msg);
	CHECK(t, r.n == 4 && r.shape == shape_of(r.items[0].json));
	CHECK(t, r.n == 4 && !strcmp(text_of(&r, 0), "a1") && !strcmp(text_of(&r, 1), "a2") &&
	                 !strcmp(text_of(&r, 2), "b") && !strcmp(text_of(&r, 3), "z"));
	CHECK(t, r.n == 4 && r.items[1].line == 2 && r.items[2].line == 1 && strstr(r.items[2].file, "b.jsonl"));

	test_case(t, "the hash is of the contents");
	CHECK_MSG(t, rows_load(&again, path, &e) == 0, "%s", e.msg);
	CHECK(t, again.n == 1 && strlen(again.hash) == 32 && strcmp(again.hash, r.hash) != 0);
	rows_release(&again);
	CHECK(t, rows_load(&again, dir, &e) == 0 && strcmp(again.hash, r.hash) == 0);
	rows_release(&again);
	rows_release(&r);
	mem_free(path);

	test_case(t, "another shape in another file; a gzip file cut short");
	mem_free(write_file(t, "rows/d.jsonl", "\n{\"messages\": []}\n", 18));
	CHECK(t, rows_load(&r, dir, &e) < 0 && strstr(e.msg, "d.jsonl:2: a row of messages among rows of text"));
	path = write_file(t, "cut.jsonl.gz", gz, sizeof(gz) - 9);
	CHECK(t, rows_load(&r, path, &e) < 0 && strstr(e.msg, "cut short"));
	mem_free(path);
	path = io_join(test_tmp(), "nothing.jsonl");
	CHECK(t, rows_load(&r, path, &e) < 0 && strstr(e.msg, "nothing.jsonl"));
	mem_free(path);
	mem_free(dir);
}

void test_rows(struct test *t)
{
	test_shapes(t);
	test_lines(t);
	test_depth(t);
	test_folder(t);
}
