/* test_safetensors: round trips, refusals, and models' folders (sharded too) through source. */
#include "../test.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/rng.h"
#include "fixture_gguf.h"
#include "format/safetensors.h"
#include "format/source.h"

/* length, header, data */
static void make_file(struct buf *out, const char *header, size_t data)
{
	size_t n = strlen(header);
	buf_clear(out);
	for (int i = 0; i < 8; i++)
		buf_addc(out, (char)(n >> 8 * i));
	buf_adds(out, header);
	for (size_t i = 0; i < data; i++)
		buf_addc(out, (char)i);
}

static int parse_copy(struct safetensors *s, const char *data, size_t n, void **copy, struct err *e)
{
	*copy = mem_alloc(n);
	memcpy(*copy, data, n);
	return st_parse(s, *copy, n, "tiny.safetensors", e);
}

static void check_refused(struct test *t, const char *header, size_t data, const char *words)
{
	struct buf b = BUF_INIT;
	struct safetensors s;
	struct err e = ERR_INIT;
	void *copy;
	make_file(&b, header, data);
	int rc = parse_copy(&s, b.data, b.len, &copy, &e);
	CHECK_MSG(t, rc == -1 && strstr(e.msg, words) && strstr(e.msg, "tiny.safetensors"),
	          "%s: wanted '%s', got %d '%s'", header, words, rc, e.msg);
	if (rc == 0)
		st_close(&s);
	mem_free(copy);
	buf_release(&b);
}

#define T(shape, offsets) "{\"a\":{\"dtype\":\"F32\",\"shape\":" shape ",\"data_offsets\":" offsets "}}"

static void test_refusals(struct test *t)
{
	test_case(t, "headers that cannot be");
	check_refused(t, "", 0, "no JSON object");
	check_refused(t, "[]", 0, "no JSON object");
	check_refused(t, "{", 0, "line 1");
	check_refused(t, "{} x", 0, "line 1");
	check_refused(t, T("[2]", "[0,8]"), 12, "12 bytes of data, the header accounts for 8");
	check_refused(t, T("[2]", "[0,8]"), 4, "the file has 4");
	check_refused(t, T("[2]", "[4,12]"), 12, "after a gap");
	check_refused(t, T("[2]", "[8,0]"), 8, "bytes 8 to 0");
	check_refused(t, T("[3]", "[0,8]"), 8, "want 12");
	check_refused(t, T("[-1]", "[0,8]"), 8, "no list of sizes");
	check_refused(t, T("[2.0]", "[0,8]"), 8, "no list of sizes");
	check_refused(t, T("[2]", "[0]"), 8, "no proper");
	check_refused(t, T("[2]", "[0,\"8\"]"), 8, "no proper");
	check_refused(t, T("2", "[0,8]"), 8, "no proper");
	check_refused(t, T("[1,1,1,1,2]", "[0,8]"), 8, "5 dimensions");
	check_refused(t, T("[4294967296,4294967296,4294967296]", "[0,8]"), 8, "no address");
	check_refused(t, T("[4611686018427387904]", "[0,0]"), 0, "no address");
	check_refused(t, T("[18446744073709551616]", "[0,0]"), 0, "no list of sizes");
	check_refused(t, "{\"a\":{\"dtype\":\"Q9\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, "dtype 'Q9'");
	check_refused(t, "{\"a\":3}", 0, "no proper");
	check_refused(t, "{\"a\\n\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "control byte");
	check_refused(t, "{\"\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", 0, "empty");
	check_refused(t, "{\"__metadata__\":3}", 0, "__metadata__ is not");
	check_refused(t, "{\"__metadata__\":{\"a\":3}}", 0, "more than strings");
	check_refused(t,
	              "{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},\"a\":{\"dtype\":\"F32\","
	              "\"shape\":[1],\"data_offsets\":[4,8]}}",
	              8, "duplicate");
	check_refused(t,
	              "{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]},\"b\":{\"dtype\":\"F32\","
	              "\"shape\":[1],\"data_offsets\":[4,8]}}",
	              8, "inside the tensor before");
}

static void test_lengths(struct test *t)
{
	struct safetensors s;
	struct err e = ERR_INIT;
	test_case(t, "the header's length");
	CHECK(t, st_parse(&s, "\1\0\0", 3, "x", &e) == -1 && strstr(e.msg, "3 bytes"));
	CHECK(t, st_parse(&s, "\377\377\377\377\377\377\377\377{}", 10, "x", &e) == -1 &&
	                 strstr(e.msg, "18446744073709551615 bytes, 2 are left"));
	CHECK(t, st_parse(&s, "\3\0\0\0\0\0\0\0{}", 10, "x", &e) == -1 && strstr(e.msg, "3 bytes, 2 are left"));
	CHECK(t, st_parse(&s, "\2\0\0\0\0\0\0\0{}", 10, "x", &e) == 0 && s.n_tensors == 0 && !st_find(&s, "a"));
	st_close(&s);
}

static void test_oddities(struct test *t)
{
	struct buf b = BUF_INIT;
	struct safetensors s;
	struct err e = ERR_INIT;
	void *copy;
	test_case(t, "empty tensors, scalars, another program's dtypes, an odd header");
	make_file(&b,
	          "{\"m\":{\"dtype\":\"BOOL\",\"shape\":[3],\"data_offsets\":[0,3]},\"e\":{\"dtype\":\"F16\",\"shape\":"
	          "[0,7],\"data_offsets\":[3,3]},"
	          "\"s\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[3,7]}}  ",
	          7);
	CHECK_MSG(t, parse_copy(&s, b.data, b.len, &copy, &e) == 0, "%s", e.msg);
	const struct st_tensor *x = st_find(&s, "m");
	CHECK(t, x && x->dtype == DTYPE_COUNT && !strcmp(x->dtype_name, "BOOL") && x->bytes == 3);
	x = st_find(&s, "s");
	CHECK(t,
	      x && x->n_dims == 0 && x->bytes == 4 && (uintptr_t)x->data % 4 == 0 && !memcmp(x->data, "\3\4\5\6", 4));
	x = st_find(&s, "e");
	CHECK(t, x && x->bytes == 0 && x->n_dims == 2);
	st_close(&s);
	mem_free(copy);
	buf_release(&b);
}

static void fill(void *ctx, size_t i, void *out)
{
	float *w = out;
	(*(int *)ctx)++;
	w[0] = (float)i;
	w[1] = 0.5f;
}

static void test_writes(struct test *t)
{
	static const float a[6] = { 1, 2, 3, 4, 5, 6 };
	static const uint16_t h[3] = { 0x3c00, 0, 0xbc00 };
	struct st_tensor x[] = {
		{ .name = "z.weight", .dtype = DTYPE_F32, .n_dims = 2, .dim = { 2, 3 }, .data = a, .bytes = sizeof(a) },
		{ .name = "made", .dtype = DTYPE_F32, .n_dims = 1, .dim = { 2 }, .bytes = 8 },
		{ .name = "h\"1", .dtype = DTYPE_F16, .n_dims = 1, .dim = { 3 }, .data = h, .bytes = sizeof(h) },
	};
	struct st_meta meta = { "format", "pt" };
	struct safetensors s;
	struct buf one = BUF_INIT, two = BUF_INIT;
	struct err e = ERR_INIT;
	char path[300], other[300];
	int calls = 0;
	test_case(t, "what is written comes back, in order, the same bytes each time");
	snprintf(path, sizeof(path), "%s/a.safetensors", test_tmp());
	snprintf(other, sizeof(other), "%s/b.safetensors", test_tmp());
	CHECK_MSG(t,
	          st_write(path, x, 3, &meta, 1, fill, &calls, &e) == 0 &&
	                  st_write(other, x, 3, &meta, 1, fill, &calls, &e) == 0,
	          "%s", e.msg);
	CHECK(t, calls == 2);
	CHECK_MSG(t, st_open(&s, path, &e) == 0, "%s", e.msg);
	CHECK(t,
	      s.n_tensors == 3 && s.n_meta == 1 && !strcmp(s.meta[0].key, "format") && !strcmp(s.meta[0].value, "pt"));
	for (size_t i = 0; i < 3; i++)
		CHECK(t, !strcmp(s.tensors[i].name, x[i].name) && s.tensors[i].dtype == x[i].dtype &&
		                 s.tensors[i].n_dims == x[i].n_dims);
	CHECK(t,
	      !memcmp(st_find(&s, "z.weight")->data, a, sizeof(a)) && !memcmp(st_find(&s, "h\"1")->data, h, sizeof(h)));
	const float *made = st_find(&s, "made")->data;
	CHECK(t, made[0] == 1 && made[1] == 0.5f);
	CHECK(t, io_read(&one, path, &e) == 0 && io_read(&two, other, &e) == 0 && one.len == two.len &&
	                 !memcmp(one.data, two.data, one.len));
	CHECK(t, strstr(one.data + 8, "{\"__metadata__\":{\"format\":\"pt\"},\"z.weight\":{\"dtype\":\"F32\",\"shape\":"
	                              "[2,3],\"data_offsets\":[0,24]}") == one.data + 8);
	st_close(&s);
	CHECK(t, st_write("/nonexistent/x", x, 1, NULL, 0, NULL, NULL, &e) == -1 && strstr(e.msg, "/nonexistent/x"));
	buf_release(&one);
	buf_release(&two);
}

static void test_broken(struct test *t)
{
	struct buf b = BUF_INIT;
	struct safetensors s;
	struct rng_stream r = { 6 };
	void *copy;
	test_case(t, "cut at every byte, bits flipped");
	make_file(&b,
	          "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[2,2],\"data_offsets\":[0,16]},"
	          "\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[16,22]}}",
	          22);
	for (size_t n = 0; n < b.len; n++) {
		struct err e = ERR_INIT;
		CHECK_MSG(t, parse_copy(&s, b.data, n, &copy, &e) == -1 && e.msg[0], "accepted with %zu of %zu bytes",
		          n, b.len);
		mem_free(copy);
	}
	for (int i = 0; i < 20000; i++) {
		struct err e = ERR_INIT;
		size_t at = rng_below(&r, (uint32_t)b.len);
		char was = b.data[at];
		b.data[at] = (char)(was ^ 1 << rng_below(&r, 8));
		int rc = parse_copy(&s, b.data, b.len, &copy, &e);
		CHECK(t, rc == 0 || e.msg[0]);
		if (rc == 0)
			st_close(&s);
		mem_free(copy);
		b.data[at] = was;
	}
	buf_release(&b);
}

/* --- folders --- */

static char folder[300];

static void put(const char *name, const char *text)
{
	struct err e = ERR_INIT;
	char *path = io_join(folder, name);
	if (io_write(path, text, strlen(text), &e) < 0)
		BUG("%s", e.msg);
	mem_free(path);
}

/* A file with one tensor or two (b may be NULL) of one number. */
static void put_shards(const char *name, const char *a, const char *b, float x)
{
	struct err e = ERR_INIT;
	struct st_tensor w[2] = {
		{ .name = a, .dtype = DTYPE_F32, .n_dims = 1, .dim = { 1 }, .data = &x, .bytes = 4 }
	};
	char *path = io_join(folder, name);
	w[1] = w[0];
	w[1].name = b;
	if (st_write(path, w, b ? 2 : 1, NULL, 0, NULL, NULL, &e) < 0)
		BUG("%s", e.msg);
	mem_free(path);
}

static void put_shard(const char *name, const char *tensor, float x) { put_shards(name, tensor, NULL, x); }

static void check_folder(struct test *t, const char *words)
{
	struct source s;
	struct err e = ERR_INIT;
	int rc = source_open(&s, folder, &e);
	CHECK_MSG(t, rc == -1 && strstr(e.msg, words) && strstr(e.msg, folder), "wanted '%s', got %d '%s'", words, rc,
	          e.msg);
	if (rc == 0)
		source_close(&s);
}

static void test_folders_refused(struct test *t)
{
	test_case(t, "folders that are no model");
	check_folder(t, "no config.json");
	put("adapter_config.json", "{}");
	check_folder(t, "an adapter, not a model");
	put("config.json", "{\"a\": }");
	check_folder(t, "line 1");
	put("config.json", "[]");
	check_folder(t, "not a JSON object");
	put("config.json", "{\"model_type\": \"llama\"}");
	check_folder(t, "no model.safetensors");
	put("pytorch_model.bin", "x");
	check_folder(t, "pytorch_model.bin: no file of torch.save");
	put("model.safetensors.index.json", "{\"weight_map\": {}}");
	check_folder(t, "no weight_map");
	put("model.safetensors.index.json", "{\"weight_map\": {\"a\": \"../x.safetensors\"}}");
	check_folder(t, "no name of a .safetensors or .bin file");
	put("model.safetensors.index.json", "{\"weight_map\": {\"a\": 3}}");
	check_folder(t, "no name of a .safetensors or .bin file");
	put("model.safetensors.index.json",
	    "{\"weight_map\": {\"a\": \"one.safetensors\", \"b\": \"two.safetensors\"}}");
	put_shard("one.safetensors", "a", 1);
	check_folder(t, "two.safetensors");
	put_shard("two.safetensors", "c", 2);
	check_folder(t, "lists tensor 'b' in two.safetensors");
	put("model.safetensors.index.json",
	    "{\"weight_map\": {\"a\": \"one.safetensors\", \"c\": \"two.safetensors\"}}");
}

static void test_sharded(struct test *t)
{
	struct source s;
	struct source_tensor x;
	struct err e = ERR_INIT;
	char hex[33], again[33];
	test_case(t, "a sharded folder");
	CHECK_MSG(t, source_open(&s, folder, &e) == 0, "%s", e.msg);
	CHECK(t, s.n_shards == 2 && source_count(&s) == 2 && s.config && !s.generation_config && source_bytes(&s) > 8);
	CHECK(t, source_find(&s, "c", &x) == 0 && x.dtype == DTYPE_F32 && *(const float *)x.data == 2 &&
	                 source_find(&s, "b", &x) == 1);
	source_tensor(&s, 1, &x);
	CHECK(t, !strcmp(x.name, "c"));
	CHECK(t, source_hash(&s, hex, &e) == 0 && strlen(hex) == 32);
	source_close(&s);
	put_shard("two.safetensors", "c", 3);
	CHECK(t, source_open(&s, folder, &e) == 0 && source_hash(&s, again, &e) == 0 && strcmp(hex, again) != 0);
	source_close(&s);
	test_case(t, "two shards with one name, one file instead of shards");
	put_shards("two.safetensors", "c", "a", 3);
	check_folder(t, "two of its shards, one.safetensors and two.safetensors, hold tensor 'a'");
	put_shard("model.safetensors", "w", 4);
	CHECK(t, source_open(&s, folder, &e) == 0 && s.n_shards == 1 && source_find(&s, "w", &x) == 0);
	source_close(&s);
	put("generation_config.json", "{\"eos_token_id\": 2}");
	CHECK(t, source_open(&s, folder, &e) == 0 && s.generation_config);
	source_close(&s);
}

static void test_gguf_source(struct test *t)
{
	struct buf b = BUF_INIT;
	struct source s;
	struct source_tensor x;
	struct err e = ERR_INIT;
	char path[300], hex[33];
	test_case(t, "a GGUF file, weights alone, nothing");
	snprintf(path, sizeof(path), "%s/tiny.gguf", test_tmp());
	fixture_llama(&b, DTYPE_Q8_0, false, 1);
	CHECK(t, io_write(path, b.data, b.len, &e) == 0 && source_open(&s, path, &e) == 0 && s.is_gguf);
	CHECK(t, source_find(&s, "blk.0.ffn_down.weight", &x) == 0 && x.n_dims == 2 && x.dim[0] == TINY_C &&
	                 x.dim[1] == TINY_F && x.dtype == DTYPE_Q8_0);
	CHECK(t, source_count(&s) == 21 && source_bytes(&s) == b.len && source_hash(&s, hex, &e) == 0);
	source_close(&s);
	snprintf(path, sizeof(path), "%s/a.safetensors", test_tmp());
	CHECK(t, source_open(&s, path, &e) == -1 && strstr(e.msg, "weights alone"));
	CHECK(t, source_open(&s, "/nonexistent", &e) == -1 && strstr(e.msg, "no such file"));
	buf_release(&b);
}

void test_safetensors(struct test *t)
{
	struct err e = ERR_INIT;
	test_refusals(t);
	test_lengths(t);
	test_oddities(t);
	test_writes(t);
	test_broken(t);
	snprintf(folder, sizeof(folder), "%s/folder", test_tmp());
	CHECK(t, io_mkdirs(folder, &e) == 0);
	test_folders_refused(t);
	test_sharded(t);
	test_gguf_source(t);
}
