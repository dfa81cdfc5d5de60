/* test_pytorch: files of torch.save (tools/golden/pytorch_files.py): every form gives the same tensors, views are what
 * they are views of, and what a pickle wants to run is refused by its name. A wrong stride, offset or byte order would
 * show in a number; anything imported would show as a file that is accepted. */
#include "../test.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "format/pytorch.h"

static char *path_of(const char *name) { return mem_printf("%s/../fuzz/corpus/pytorch/%s", test_golden(), name); }

static bool open_file(struct test *t, struct safetensors *s, const char *name)
{
	struct err e = ERR_INIT;
	char *path = path_of(name);
	bool fine = pytorch_open(s, path, &e) == 0;

	CHECK_MSG(t, fine, "%s", e.msg);
	mem_free(path);
	return fine;
}

static void check_tensor(struct test *t, const struct safetensors *s, const char *name, size_t rows, size_t cols,
                         const float *want)
{
	const struct st_tensor *x = st_find(s, name);

	if (!x) {
		CHECK_MSG(t, false, "no %s", name);
		return;
	}
	CHECK_MSG(t, x->n_dims == 2 && x->dim[0] == rows && x->dim[1] == cols && x->dtype == DTYPE_F32, "%s", name);
	CHECK_MSG(t, !memcmp(x->data, want, rows * cols * sizeof(*want)), "the numbers of %s", name);
}

static void test_views(struct test *t)
{
	static const char *const files[] = { "new.pt", "old.pt", "protocol4.pt" };
	static const float whole[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 },
	                   turned[] = { 0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11 }, part[] = { 6, 7, 10, 11 };

	for (size_t i = 0; i < ARRAY_LEN(files); i++) {
		struct safetensors s;
		test_case(t, "%s: shared storages, strides and offsets", files[i]);
		if (!open_file(t, &s, files[i]))
			continue;
		check_tensor(t, &s, "whole", 3, 4, whole);
		check_tensor(t, &s, "turned", 4, 3, turned);
		check_tensor(t, &s, "part", 2, 2, part);
		const struct st_tensor *row = st_find(&s, "row"), *one = st_find(&s, "one"),
		                       *none = st_find(&s, "none");
		CHECK(t, row && row->n_dims == 1 && row->dim[0] == 4 && !memcmp(row->data, whole + 8, 16));
		CHECK(t, one && one->n_dims == 0 && one->bytes == 4 && *(const float *)one->data == 2.5F);
		CHECK(t, none && none->bytes == 0 && s.n_tensors == 6);
		st_close(&s);
	}
}

static void test_dtypes(struct test *t)
{
	static const char *const floats[] = { "float64", "float16", "bfloat16", "float8_e4m3fn", "float8_e5m2" };
	struct safetensors s;

	test_case(t, "every dtype of floats; integers are named");
	if (!open_file(t, &s, "dtypes.pt"))
		return;
	for (size_t i = 0; i < ARRAY_LEN(floats); i++) {
		const struct st_tensor *x = st_find(&s, floats[i]);
		float got[3] = { 0 };
		if (x && x->dtype != DTYPE_COUNT)
			dtypes[x->dtype].to_float(x->data, got, 3);
		CHECK_MSG(t, got[0] == 1 && got[1] == -2 && got[2] == 0, "%s: %g %g %g", floats[i], (double)got[0],
		          (double)got[1], (double)got[2]);
	}
	const struct st_tensor *x = st_find(&s, "int64");
	CHECK(t, x && x->dtype == DTYPE_COUNT && !strcmp(x->dtype_name, "int64") && x->bytes == 24);
	st_close(&s);
}

static void test_checkpoints(struct test *t)
{
	static const float w[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 }, linear[] = { 1, 2, 3, 4 };
	struct safetensors s;

	test_case(t, "a checkpoint's state_dict; a module's, with its metadata");
	if (open_file(t, &s, "nested.pt")) {
		check_tensor(t, &s, "w", 3, 4, w);
		CHECK(t, s.n_tensors == 1);
		st_close(&s);
	}
	if (open_file(t, &s, "linear.pt")) {
		check_tensor(t, &s, "weight", 2, 2, linear);
		st_close(&s);
	}
}

static void refuses(struct test *t, const void *data, size_t n, const char *words)
{
	struct safetensors s;
	struct err e = ERR_INIT;
	int status = pytorch_parse(&s, data, n, "tiny.pt", &e);

	CHECK_MSG(t, status < 0 && strstr(e.msg, words) && strstr(e.msg, "tiny.pt"), "wanted '%s', got '%s'", words,
	          e.msg);
	if (status == 0)
		st_close(&s);
}

static void refuses_file(struct test *t, const char *name, size_t cut, const char *words)
{
	struct mapping map;
	struct err e = ERR_INIT;
	char *path = path_of(name);

	if (io_map(&map, path, &e) == 0) {
		refuses(t, map.data, map.size - cut, words);
		io_unmap(&map);
	}
	mem_free(path);
}

static void test_refusals(struct test *t)
{
	test_case(t, "what would be run, and what is no such file");
	refuses_file(t, "runs.pt", 0, "posix.system");
	refuses_file(t, "module.pt", 0, "torch.nn.modules.linear.Linear");
	refuses_file(t, "new.pt", 30, "directory is damaged or cut off");
	refuses_file(t, "old.pt", 4, "which the file does not hold");
	refuses(t, "garbage, and more", 16, "neither an archive nor its older form");
	refuses(t, "", 0, "an empty file");
}

/* --- pickles by hand: the older form --- */

#define ADD(b, text) buf_add(b, text, sizeof(text) - 1)

enum { SIDE = 64 };

/* A file whose state dict is what `items` puts into it; one storage of SIDE × SIDE numbers, of which memo 1 is the
 * matrix turned, 2 OrderedDict and 3 (of one list of 2000 pairs). */
static void check_made(struct test *t, const char *what, size_t n, const char *words)
{
	static const float numbers[SIDE * SIDE];
	const uint64_t count = SIDE * SIDE;
	struct buf b = BUF_INIT;

	ADD(&b, "\x80\2\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\2M\xe9\3.\x80\2}.\x80\2");
	ADD(&b, "ccollections\nOrderedDict\nq\2" "0" "]K\0K\0\x86q\4" "0");
	for (int i = 0; i < 2000; i++)
		ADD(&b, "h\4a");
	ADD(&b, "\x85q\3" "0" "ctorch._utils\n_rebuild_tensor_v2\n((U\7storagectorch\nFloatStorage\nU\1" "0"
	        "U\3cpuM\0\x10" "tQK\0K\x40K\x40\x86K\1K\x40\x86tRq\1" "0}");
	for (size_t i = 0; i < 1000; i++) {
		char name[4];
		snprintf(name, sizeof(name), "%03zu", i);
		ADD(&b, "U\3");
		buf_add(&b, name, 3);
		buf_add(&b, what, n);
		ADD(&b, "s");
	}
	ADD(&b, ".\x80\2]U\1" "0a.");
	buf_add(&b, &count, sizeof(count));
	buf_add(&b, numbers, sizeof(numbers));
	refuses(t, b.data, b.len, words);
	buf_release(&b);
}

static void test_growth(struct test *t)
{
	test_case(t, "a small file that asks for much memory");
	check_made(t, "h\1", 2, "more than 8 times the file's bytes");
	check_made(t, "h\2h\3R", 5, "OrderedDicts of more than 1048576 pairs");

	test_case(t, "a tensor's name that is cut by a zero, or no UTF-8");
	check_made(t, "0U\3a\0bh\1", 8, "the control byte 0");
	check_made(t, "0U\1\xffh\1", 6, "whose name is no text");
}

void test_pytorch(struct test *t);
void test_pytorch(struct test *t)
{
	test_views(t);
	test_dtypes(t);
	test_checkpoints(t);
	test_refusals(t);
	test_growth(t);
}
