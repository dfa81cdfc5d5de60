/* What would break: a safetensors file whose header's length is no multiple of its numbers' size, as some writers leave
 * it. Its tensors are copies on the heap, which nobody may take for pages of the file. */
#include "../test.h"

#include <string.h>

#include "base/io.h"
#include "base/mem.h"
#include "model/prepare.h"
#include "model/resident.h"

/* The golden folder's files, the weights' header one space longer. */
static void make_odd(struct test *t, const char *from, const char *to)
{
	char **names;
	size_t n = 0;
	struct err e = ERR_INIT;

	CHECK(t, io_mkdirs(to, &e) == 0 && io_list(from, &names, &n, &e) == 0);
	for (size_t i = 0; i < n; i++) {
		struct buf b = { 0 };
		char *in = io_join(from, names[i]), *out = io_join(to, names[i]);
		uint64_t length;
		CHECK(t, io_read(&b, in, &e) == 0);
		if (strcmp(names[i], "model.safetensors")) {
			CHECK(t, io_write(out, b.data, b.len, &e) == 0);
		} else {
			struct buf odd = { 0 };
			memcpy(&length, b.data, 8);
			length++;
			buf_add(&odd, (char *)&length, 8);
			buf_add(&odd, b.data + 8, length - 1);
			buf_add(&odd, " ", 1);
			buf_add(&odd, b.data + 8 + length - 1, b.len - 8 - (length - 1));
			CHECK(t, io_write(out, odd.data, odd.len, &e) == 0);
			buf_release(&odd);
		}
		buf_release(&b);
		mem_free(in);
		mem_free(out);
	}
	io_list_free(names, n);
}

static size_t different(const struct model *a, const struct model *b)
{
	size_t wrong = a->n_weights != b->n_weights;

	for (size_t i = 0; i < a->n_weights && !wrong; i++) {
		size_t n = a->weights[i].dim[0] * (a->weights[i].n_dims > 1 ? a->weights[i].dim[1] : 1);
		float *x = mem_array(n, sizeof(*x)), *y = mem_array(n, sizeof(*y));
		model_weight_float(a, (int)i, x);
		model_weight_float(b, (int)i, y);
		wrong += memcmp(x, y, n * sizeof(*x)) != 0;
		mem_free(x);
		mem_free(y);
	}
	return wrong;
}

static void same_weights(struct test *t, const char *name, enum prepare_for what)
{
	char *from = io_join(test_golden(), name), *to = io_join(test_tmp(), "odd");
	struct model even, odd;
	struct pool *pool = pool_new(2);
	struct err e = ERR_INIT;

	make_odd(t, from, to);
	CHECK_MSG(t, model_open(&even, from, &e) == 0 && model_open(&odd, to, &e) == 0, "%s", e.msg);
	model_forget(&odd);
	CHECK_MSG(t, different(&even, &odd) == 0, "weights differ once pages were given back");
	CHECK(t, model_prepare(&odd, pool, COMPUTE_F32, what, &e) == 0);
	model_forget(&odd);
	CHECK_MSG(t, different(&even, &odd) == 0, "weights differ once they were prepared");
	model_close(&even);
	model_close(&odd);
	pool_free(pool);
	CHECK(t, io_remove_tree(to, &e) == 0);
	mem_free(from);
	mem_free(to);
}

void test_unaligned(struct test *t)
{
	static const char *const names[] = { "llama", "llama-untied", "gpt2" };

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		test_case(t, "%s, to generate", names[i]);
		same_weights(t, names[i], PREPARE_GENERATE);
		test_case(t, "%s, to score", names[i]);
		same_weights(t, names[i], PREPARE_SCORE);
	}
}
