/* test_quants: every block type against the numbers that others make of the same bytes (values/quants.safetensors, see
 * test/golden/README.md), whole and entered at any run of 16. */
#include "../test.h"

#include <string.h>

#include "base/mem.h"
#include "format/safetensors.h"

static const struct st_tensor *golden(const struct safetensors *s, const char *type, const char *what)
{
	char *name = mem_printf("%s.%s", type, what);
	const struct st_tensor *found = st_find(s, name);

	mem_free(name);
	return found;
}

static void test_read(struct test *t, const struct safetensors *s, const struct dtype_info *d)
{
	const struct st_tensor *blocks = golden(s, d->name, "blocks"), *numbers = golden(s, d->name, "numbers");
	float part[16];

	test_case(t, "%s: dequantized to the bits of gguf-py", d->name);
	CHECK(t, blocks && numbers && blocks->dim[1] == d->bytes && numbers->dim[1] == d->block);
	if (!blocks || !numbers)
		return;
	size_t n = blocks->dim[0] * d->block;
	const float *want = numbers->data;
	float *y = mem_array(n, sizeof(float));
	d->to_float(blocks->data, y, n);
	for (size_t i = 0; i < n; i++)
		CHECK_MSG(t, y[i] == want[i], "number %zu: %.9g, wanted %.9g", i, (double)y[i], (double)want[i]);
	test_case(t, "%s: entered at any run of 16", d->name);
	for (size_t j = 0; j < n; j += 16) {
		d->part(blocks->data, j, part, 16);
		CHECK(t, memcmp(part, y + j, sizeof(part)) == 0);
	}
	mem_free(y);
}

void test_quants(struct test *t);
void test_quants(struct test *t)
{
	char *path = mem_printf("%s/values/quants.safetensors", test_golden());
	struct safetensors s;
	struct err e = ERR_INIT;

	test_case(t, "the golden values are there");
	if (st_open(&s, path, &e) < 0)
		test_fail(t, __FILE__, __LINE__, "%s", e.msg);
	else
		for (int d = 0; d < DTYPE_COUNT; d++)
			if (dtypes[d].block > 1)
				test_read(t, &s, &dtypes[d]);
	st_close(&s);
	mem_free(path);
}
