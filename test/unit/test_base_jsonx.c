/* JSON: errors with their place, numbers that come back equal, typed fields. */
#include "../test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"

static json_t *load(const char *text, struct err *e) { return jsonx_load(text, strlen(text), "x.json", e); }

static void refusals(struct test *t)
{
	static const struct { const char *text, *says; } cases[] = {
		{ "{\"a\": 1,\n \"b\": }", "x.json: line 2 column 7: " },
		{ "{\"a\": 1, \"a\": 2}", "duplicate" },
		{ "{\"a\": 1} x", "line 1" },
		{ "", "line 1" },
		{ "{\"a\": \"\xff\"}", "unable to decode byte 0xff" },
		{ "{\"a\": 1e999}", "overflow" },
		{ "[1, 2", "line 1" },
	};
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct err e = ERR_INIT;
		test_case(t, "refuses case %zu", i);
		json_t *j = load(cases[i].text, &e);
		CHECK_MSG(t, !j && strstr(e.msg, cases[i].says), "%s", e.msg);
		json_decref(j);
	}
	test_case(t, "refuses what is too deep");
	struct err e = ERR_INIT;
	struct buf b = BUF_INIT;
	for (int i = 0; i < 100000; i++)
		buf_addc(&b, '[');
	CHECK(t, !jsonx_load(b.data, b.len, "deep", &e) && strstr(e.msg, "depth"));
	buf_release(&b);
	CHECK(t, !jsonx_load_file("/no/such.json", &e) && strstr(e.msg, "/no/such.json"));
}

static void huge_integers(struct test *t)
{
	struct err e = ERR_INIT;
	test_case(t, "an integer beyond 64 bits makes itself a double, its neighbours stay integers");
	json_t *j = load("{\"model_max_length\": 1000000000000000019884624838656, \"n\": [5, 2.5, {\"k\": -3}]}", &e);
	CHECK_MSG(t, j != NULL, "%s", e.msg);
	json_t *n = json_object_get(j, "n");
	CHECK(t, json_is_real(json_object_get(j, "model_max_length")) && json_is_integer(json_array_get(n, 0)));
	CHECK(t, json_is_real(json_array_get(n, 1)) &&
	                 json_integer_value(json_object_get(json_array_get(n, 2), "k")) == -3);
	json_decref(j);
}

static void printing(struct test *t)
{
	static const char *const same[] = {
		"{\"a\": 1, \"b\": [true, false, null], \"c\": {}}",
		"[]",
		"\"q\\\"\\\\\\n\\t\\u0001é😀\"",
		"0.1",
		"1e-08",
		"2.0",
		"-0.0",
		"123456789012",
		"[0, -1, 9223372036854775807, -9223372036854775808]",
	};
	struct err e = ERR_INIT;
	test_case(t, "one line, the same text again");
	for (size_t i = 0; i < ARRAY_LEN(same); i++) {
		json_t *j = load(same[i], &e);
		char *line = j ? jsonx_line(j) : mem_strdup(e.msg);
		CHECK_MSG(t, strcmp(line, same[i]) == 0, "%s became %s", same[i], line);
		mem_free(line);
		json_decref(j);
	}
	test_case(t, "a file: two spaces, newline at the end, read back equal");
	char path[512];
	snprintf(path, sizeof(path), "%s/j.json", test_tmp());
	json_t *j = load("{\"a\": {\"b\": [1, 2]}, \"e\": []}", &e);
	struct buf b = BUF_INIT;
	CHECK(t, jsonx_write_file(path, j, &e) == 0 && io_read(&b, path, &e) == 0);
	CHECK_MSG(t,
	          strcmp(buf_str(&b),
	                 "{\n  \"a\": {\n    \"b\": [\n      1,\n      2\n    ]\n  },\n  \"e\": []\n}\n") == 0,
	          "%s", buf_str(&b));
	json_t *again = jsonx_load_file(path, &e);
	CHECK(t, json_equal(j, again));
	json_decref(j);
	json_decref(again);
	buf_release(&b);
}

static void doubles(struct test *t)
{
	struct rng_stream r = { 77 };
	struct err e = ERR_INIT;
	size_t wrong = 0;
	test_case(t, "random doubles come back bit for bit");
	for (int i = 0; i < 20000; i++) {
		uint64_t bits = rng_next(&r);
		double x, y;
		memcpy(&x, &bits, sizeof(x));
		/* by bits: once a pool was made, denormals compare as 0 */
		if ((bits >> 52 & 2047) == 2047 || (bits >> 52 & 2047) == 0)
			continue;
		json_t *j = jsonx_number(x);
		char *line = jsonx_line(j);
		json_t *back = load(line, &e);
		y = json_real_value(back);
		wrong += !json_is_real(back) || memcmp(&x, &y, sizeof(x)) != 0;
		mem_free(line);
		json_decref(j);
		json_decref(back);
	}
	CHECK_MSG(t, wrong == 0, "%zu wrong", wrong);
	json_t *nan = jsonx_number(NAN), *inf = jsonx_number(-INFINITY);
	CHECK(t, json_is_null(nan) && json_is_null(inf));
}

static void fields(struct test *t)
{
	struct err e = ERR_INIT;
	long long n;
	double x;
	int b;
	const char *s;
	json_t *o = load("{\"i\": 7, \"r\": 0.5, \"b\": true, \"s\": \"text\", \"z\": null, \"l\": []}", &e);
	test_case(t, "typed fields and their defaults");
	CHECK(t, jsonx_int(o, "i", 1, &n, &e) == 0 && n == 7 && jsonx_int(o, "z", 3, &n, &e) == 0 && n == 3);
	CHECK(t, jsonx_real(o, "r", 1, &x, &e) == 0 && x == 0.5 && jsonx_real(o, "i", 1, &x, &e) == 0 && x == 7 &&
	                 jsonx_real(o, "no", 2, &x, &e) == 0 && x == 2);
	CHECK(t, jsonx_bool(o, "b", 0, &b, &e) == 0 && b == 1 && jsonx_string(o, "s", NULL, &s, &e) == 0 &&
	                 strcmp(s, "text") == 0);
	CHECK(t, jsonx_string(o, "no", "d", &s, &e) == 0 && strcmp(s, "d") == 0 &&
	                 jsonx_int(NULL, "i", 4, &n, &e) == 0 && n == 4);
	test_case(t, "wrong types");
	CHECK_MSG(t,
	          jsonx_int(o, "r", 1, &n, &e) == -1 && strcmp(e.msg, "\"r\" is a number, an integer was wanted") == 0,
	          "%s", e.msg);
	CHECK(t, jsonx_real(o, "s", 1, &x, &e) == -1 && jsonx_bool(o, "i", 1, &b, &e) == -1 &&
	                 jsonx_string(o, "l", "", &s, &e) == -1);
	json_decref(o);
}

void test_base_jsonx(struct test *t)
{
	refusals(t);
	huge_integers(t);
	printing(t);
	doubles(t);
	fields(t);
}
