/* test_grad_tree: sums in the shape of the tree, for every number of leaves, with the buffers that were promised. */
#include "../test.h"

#include "base/mem.h"
#include "train/grad_tree.h"

enum { NUMBERS = 70000, LEAVES = 40 };

static float leaf_value(int leaf, size_t i)
{
	return 1.0f / (float)(1 + leaf) + (float)i * 1e-7f * (float)(leaf % 7);
}

/* The tree by its definition: complete subtrees from the left, largest first, then added from the smallest. */
static float subtree(int first, int n, size_t i)
{
	return n == 1 ? leaf_value(first, i) : subtree(first, n / 2, i) + subtree(first + n / 2, n / 2, i);
}

static float tree(int first, int n, size_t i)
{
	int largest = 1;
	while (largest * 2 <= n)
		largest *= 2;
	return largest == n ? subtree(first, n, i) : subtree(first, largest, i) + tree(first + largest, n - largest, i);
}

static void one(struct test *t, struct pool *pool, const struct kernels *k, int leaves)
{
	struct err e = ERR_INIT;
	struct grad_tree g;
	size_t wrong = 0;

	CHECK(t, grad_tree_init(&g, NUMBERS, leaves, k, pool, &e) == 0);
	for (int round = 0; round < 2; round++) {
		for (int leaf = 0; leaf < leaves; leaf++) {
			float *x = grad_tree_leaf(&g);
			for (size_t i = 0; i < NUMBERS; i++)
				x[i] = leaf_value(leaf, i);
			grad_tree_add(&g);
		}
		const float *sum = grad_tree_sum(&g);
		for (size_t i = 0; i < NUMBERS; i += 997)
			wrong += sum[i] != tree(0, leaves, i);
		wrong += sum[NUMBERS - 1] != tree(0, leaves, NUMBERS - 1);
	}
	CHECK_MSG(t, wrong == 0, "%d leaves: %zu numbers differ", leaves, wrong);
	grad_tree_release(&g);
}

void test_grad_tree(struct test *t)
{
	struct pool *pool = pool_new(3);
	const struct kernels *k = kernels_get(NULL, NULL);

	test_case(t, "buffers");
	CHECK(t, grad_tree_buffers(1) == 1 && grad_tree_buffers(2) == 2 && grad_tree_buffers(3) == 2 &&
	                 grad_tree_buffers(4) == 3);
	CHECK(t, grad_tree_buffers(7) == 3 && grad_tree_buffers(8) == 4);
	test_case(t, "sums of 1 to %d leaves", LEAVES);
	for (int leaves = 1; leaves <= LEAVES; leaves++)
		one(t, pool, k, leaves);
	pool_free(pool);
}
