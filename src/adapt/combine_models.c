/* combine_models: one weight at a time. See combine_models.h. Models that are alike have the same weights in the same
 * order; their files may be of different forms and dtypes, since each weight is read as f32 in Hugging Face's order. */
#include "adapt/combine_models.h"

#include <string.h>

#include "base/mem.h"
#include "model/weights.h"

int combine_models_begin(struct combine_models *c, struct err *e)
{
	size_t largest = weight_numbers_most(c->models[0]);

	if (c->n > COMBINE_MODELS_MOST)
		return err_set(e, "%zu models, at most %d go together", c->n, COMBINE_MODELS_MOST);
	if (!strcmp(c->how.how->name, "slerp") && c->n != 2)
		return err_set(e, "slerp is between two models, %zu are given", c->n);
	for (size_t i = 1; i < c->n; i++)
		if (model_same_weights(c->models[0], c->models[i], c->names[i], e) < 0)
			return -1;
	if (c->base && model_same_weights(c->models[0], c->base, c->base_name, e) < 0)
		return -1;
	for (size_t i = 0; i < c->n; i++)
		c->x[i] = mem_array(largest, sizeof(float));
	c->own = mem_array(c->base ? largest : 0, sizeof(float));
	c->order = mem_array(c->how.how->keep == KEEP_LARGEST ? largest : 0, sizeof(*c->order));
	return 0;
}

size_t combine_models_bytes(const struct combine_models *c)
{
	size_t each = weight_numbers_most(c->models[0]) * sizeof(float);

	return each * (c->n + (c->base != NULL) + (c->how.how->keep == KEEP_LARGEST));
}

const float *combine_models_weight(void *ctx, int i, float *scratch)
{
	struct combine_models *c = ctx;
	size_t n = weight_numbers(&c->models[0]->weights[i]);

	if (c->base)
		model_weight_float(c->base, i, c->own);
	for (size_t k = 0; k < c->n; k++) {
		model_weight_float(c->models[k], i, c->x[k]);
		for (size_t j = 0; j < n && c->base; j++)
			c->x[k][j] -= c->own[j];
		if (c->base)
			combination_prune(&c->how, c->x[k], n, (uint64_t)i * COMBINE_MODELS_MOST + k, c->order);
	}
	if (!strcmp(c->how.how->name, "slerp"))
		combination_slerp(c->x[0], c->x[1], c->weights[1] / (c->weights[0] + c->weights[1]), n, scratch);
	else
		combination_sum(&c->how, (const float *const *)c->x, c->weights, c->n, n, scratch);
	for (size_t j = 0; j < n && c->base; j++)
		scratch[j] += c->own[j];
	return scratch;
}

void combine_models_end(struct combine_models *c)
{
	for (size_t i = 0; i < MIN(c->n, (size_t)COMBINE_MODELS_MOST); i++)
		mem_free(c->x[i]);
	mem_free(c->own);
	mem_free(c->order);
}
