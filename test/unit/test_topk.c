/* test_topk: the k largest, and of equal numbers those that torch.topk takes on a processor: lists made with it. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "op/topk.h"

static void check(struct test *t, const float *z, size_t n, size_t k, const int32_t *want)
{
	int32_t got[TOPK_MOST];

	topk(z, n, k, got);
	CHECK_MSG(t, !memcmp(got, want, k * sizeof(*want)), "%zu of %zu: the first is %d, wanted %d", k, n, got[0],
	          want[0]);
}

void test_topk(struct test *t)
{
	/* all equal: numbers of torch.topk(torch.zeros(n), k), sorted */
	static const struct { size_t n, k; int32_t want[8]; } equal[] = {
		{ 4, 2, { 2, 3 } },
		{ 5, 2, { 2, 4 } },
		{ 8, 2, { 5, 6 } },
		{ 16, 4, { 9, 10, 11, 12 } },
		{ 60, 4, { 38, 39, 40, 41 } },
		{ 64, 8, { 40, 41, 42, 43, 44, 45, 46, 47 } },
		{ 128, 8, { 81, 82, 83, 84, 85, 86, 87, 88 } },
		{ 256, 2, { 0, 1 } },
		{ 512, 4, { 0, 1, 2, 3 } },
	};
	float z[TOPK_MOST] = { 0 };

	test_case(t, "of equal numbers those that torch.topk takes");
	for (size_t i = 0; i < ARRAY_LEN(equal); i++)
		check(t, z, equal[i].n, equal[i].k, equal[i].want);
	test_case(t, "the largest, NaN before all");
	for (size_t i = 0; i < 100; i++)
		z[i] = (float)(i * 37 % 100);
	check(t, z, 100, 3, (int32_t[]){ 27, 54, 81 });
	z[5] = NAN;
	check(t, z, 100, 3, (int32_t[]){ 5, 27, 54 });
	check(t, z, 100, 1, (int32_t[]){ 5 });
}
