/* LoftQ's start beside PEFT's own decomposition of what NF4 loses (tools/golden/four_bit.py): the product B·A, since
 * signs of singular vectors are free; and that it is saved as a plain LoRA, and refused where nothing was lost. */
#include "../test.h"

#include <math.h>
#include <string.h>

#include "adapt/adapter.h"
#include "base/io.h"
#include "base/mem.h"
#include "format/safetensors.h"
#include "model/weights.h"

enum { R = 4 };

static const float *numbers(const struct adapter *a, const char *module, const char *part)
{
	char *name = mem_printf("base_model.model.%s.lora_%s.weight", module, part);
	int i = params_find(&a->overlay.params, name);

	mem_free(name);
	return i < 0 ? NULL : a->overlay.params.w + a->overlay.params.items[i].offset;
}

static void check_product(struct test *t, const struct adapter *a, const struct st_tensor *want)
{
	const float *A = numbers(a, want->name, "A"), *B = numbers(a, want->name, "B"), *p = want->data;
	double worst = 0, most = 0;

	CHECK_MSG(t, A && B, "%s", want->name);
	for (size_t o = 0; o < want->dim[0]; o++)
		for (size_t i = 0; i < want->dim[1]; i++) {
			double sum = 0, x = (double)p[o * want->dim[1] + i];
			for (size_t k = 0; k < R; k++)
				sum += (double)B[o * R + k] * (double)A[k * want->dim[1] + i];
			worst = fmax(worst, fabs(sum - x));
			most = fmax(most, fabs(x));
		}
	CHECK_MSG(t, worst <= 1e-5 * most, "%s is off by %g of %g", want->name, worst, most);
}

void test_loftq(struct test *t);
void test_loftq(struct test *t)
{
	static const char *const options[] = { "lora-r", "4", "lora-alpha", "8", "init-lora-weights", "loftq", NULL };
	char *path = io_join(test_golden(), "four-bit"), *values = io_join(test_golden(), "values/loftq.safetensors");
	struct pool *pool = pool_new(2);
	struct err e = ERR_INIT;
	struct safetensors s;
	struct adapter a;
	struct model m;

	test_case(t, "a LoRA that begins as what NF4 lost, as PEFT's LoftQ");
	CHECK_MSG(t, st_open(&s, values, &e) == 0 && model_open(&m, path, &e) == 0, "%s", e.msg);
	CHECK(t, adapter_new_named(&a, "lora", &m, options, 1, &e) < 0 && strstr(e.msg, "--load-in-4bit is wanted"));
	CHECK(t, model_load_in_4bit(&m, &(struct four_bit_options){ true, "nf4", false }, pool, &e) == 0);
	CHECK_MSG(t, adapter_new_named(&a, "lora", &m, options, 1, &e) == 0, "%s", e.msg);
	CHECK_MSG(t, adapter_start(&a, &m, pool, &e) == 0, "%s", e.msg);
	CHECK(t, s.n_tensors == 2);
	for (size_t i = 0; i < s.n_tensors; i++)
		check_product(t, &a, &s.tensors[i]);
	CHECK(t, json_is_true(json_object_get(a.config, "init_lora_weights")));
	adapter_release(&a);
	model_close(&m);
	st_close(&s);
	pool_free(pool);
	mem_free(path);
	mem_free(values);
}
