/* lora_parameters: LoRA on parameters (PEFT's target_parameters, lora.ParamWrapper): the tensors of three dimensions in
 * which transformers keeps the matrices of all experts of a layer, and a matrix by the whole name of its weight.
 *
 *     ΔW_e = s·B_e·A_e      A [E·r,in], row e·r + k      B [out,r·E], column k·E + e      of expert e, k below r
 *
 * That is how files have them. Of a tensor that holds several weights (fused.h: gate and up) one A serves all, and the
 * rows of B lie as the tensor's do. While it runs each expert has an A [r,in] of its own and for each of its weights a
 * B [out,r], as an expert that is a module has; numbers are copied between the two forms (join, part). Where several
 * tensors of one module are added to, PEFT wraps them around each other, the module's first innermost: its names have
 * ".base_layer" once for each that is around it.
 *
 * A matrix is then what it is as a module, but that its key in rank_pattern and alpha_pattern is the weight's name.
 * layers_to_transform and exclude_modules say nothing of parameters. Biases and embeddings are refused, and with
 * them what PEFT's wrapper has not: dropout, DoRA, lora_bias, an activated LoRA, other starts than a random one. */
#include <string.h>

#include "adapt/lora.h"
#include "adapt/peft_config.h"
#include "adapt/target_modules.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "model/fused.h"
#include "model/weights.h"

static const char KEY[] = "target_parameters";

static const json_t *names_of(const struct adapter *a) { return json_object_get(a->config, KEY); }

static int check(const struct adapter *a, const struct lora_terms *t, struct err *e)
{
	const struct lora *o = a->own;
	const json_t *names = names_of(a), *name;
	size_t i;
	const char *with = t->dropout > 0 ? "lora_dropout" : t->dora ? "use_dora" : t->bias ? "lora_bias" :
	                   o->init.start > LORA_GAUSSIAN ? "init_lora_weights other than true and gaussian" :
	                   !peft_empty(json_object_get(a->config, "alora_invocation_tokens")) ?
	                                                   "alora_invocation_tokens" : NULL;

	if (!json_is_array(names))
		return peft_refuse(KEY, names, e);
	json_array_foreach(names, i, name)
		if (json_string_length(name) == 0)
			return peft_refuse(KEY, names, e);
	return with ? err_set(e, "%s does not go with target_parameters", with) : 0;
}

/* A tensor of all experts' matrices begins with this weight. */
static bool begins_tensor(const struct weight *w)
{
	return w->spec->fused && w->spec->fused->part == 0 && w->expert == 0 && w->n_dims == 2;
}

static bool is_matrix(const struct weight *w)
{
	return !w->spec->fused && w->expert < 0 && w->n_dims == 2 && !(w->spec->flags & WEIGHT_TRANSPOSED) &&
	       ((w->spec->flags & WEIGHT_LINEAR) || target_of_experts(w));
}

/* Everything of the name before its last part. */
static char *parent_of(struct arena *mem, const char *name)
{
	const char *dot = strrchr(name, '.');

	return arena_strndup(mem, name, dot ? (size_t)(dot - name) : 0);
}

/* How many tensors of the same module are around this one. */
static int around(struct adapter *a, const struct weight *w, const char *module)
{
	int n = 0;

	for (const struct weight_spec *s = w->spec + 1; s->hf; s++) {
		if (!s->fused || s->fused->part || (s->flags & WEIGHT_BIAS))
			continue;
		char *name = weight_name(&a->mem, s->fused->hf, w->layer, 0);
		n += target_listed(names_of(a), name) && !strcmp(parent_of(&a->mem, name), module);
	}
	return n;
}

static int add_as_files(struct adapter *a, const struct weight *w, const char *module, const struct lora_fused *f)
{
	static const struct file_layout plain = { .rows_of = -1 };
	const char *wrapped = module;

	for (int n = around(a, w, module); n > 0; n--)
		wrapped = arena_printf(&a->mem, "%s.base_layer", wrapped);
	int first = adapter_param(a, peft_name(a, wrapped, "lora_A.weight"), 2,
	                          (size_t[]){ f->experts * f->r, f->in }, -1, plain);
	adapter_param(a, peft_name(a, wrapped, "lora_B.weight"), 2,
	              (size_t[]){ f->out * (size_t)f->as->parts, f->r * f->experts }, -1, plain);
	return first;
}

/* One A for all parts of the expert. */
static int add_expert(struct adapter *a, const struct model *m, const int *at, int expert, const struct lora_fused *f,
                      double alpha, const struct lora_terms *t)
{
	static const struct file_layout plain = { .rows_of = -1 };
	int first = -1;

	for (int p = 0; p < f->as->parts; p++) {
		const struct weight *w = &m->weights[at[p] + expert];
		const char *module = weight_module(&a->mem, w->name);
		struct lora_site *s = lora_site_add(a->own, at[p] + expert, w, f->r, alpha, t);
		if (p == 0)
			first = adapter_param(a, peft_name(a, module, "lora_A.weight"), 2,
			                      (size_t[]){ f->r, f->in }, -1, plain);
		s->a = first;
		s->b = adapter_param(a, peft_name(a, module, "lora_B.weight"), 2, (size_t[]){ f->out, f->r }, -1,
		                     plain);
	}
	return first;
}

/* That target_modules means none of its weights. */
static int check_free(struct adapter *a, const struct model *m, const int *at, const struct lora_fused *f,
                      const char *name, struct err *e)
{
	const struct lora *o = a->own;

	for (int p = 0; p < f->as->parts; p++)
		for (int k = at[p]; k < at[p] + (int)f->experts; k++)
			if (o->site_of[k] >= 0)
				return err_set(e, "target_modules means '%s', and target_parameters '%s' with it",
				               weight_module(&a->mem, m->weights[k].name), name);
	return 0;
}

static int add_tensor(struct adapter *a, const struct model *m, size_t i, const char *name, const struct lora_terms *t,
                      struct err *e)
{
	const struct weight *w = &m->weights[i];
	struct lora *o = a->own;
	struct lora_fused *f = &o->fused[o->n_fused];
	int at[FUSED_PARTS_MOST];
	double alpha;

	*f = (struct lora_fused){ .as = w->spec->fused, .experts = (size_t)weight_experts(&m->config, w->spec),
		                  .in = w->dim[1], .out = w->dim[0] };
	fused_parts(m, i, at);
	if (peft_pattern_number(a->config, PEFT_ALPHAS, name, t->alpha, &alpha, e) < 0 ||
	    peft_rank(a->config, name, t->r, &f->r, e) < 0 || check_free(a, m, at, f, name, e) < 0)
		return -1;
	o->n_fused++;
	if (o->as_files) {
		f->first = add_as_files(a, w, parent_of(&a->mem, name), f);
		return 0;
	}
	f->first = add_expert(a, m, at, 0, f, alpha, t);
	for (int k = 1; k < (int)f->experts; k++)
		add_expert(a, m, at, k, f, alpha, t);
	return 0;
}

static int add(struct adapter *a, const struct model *m, size_t i, const char *name, const struct lora_terms *t,
               struct err *e)
{
	const struct weight *w = &m->weights[i];
	const struct lora *o = a->own;

	if (begins_tensor(w))
		return add_tensor(a, m, i, name, t, e);
	if (!is_matrix(w))
		return err_set(e, "target_parameters means '%s', which is no matrix of a linear", name);
	if (o->site_of[i] >= 0)
		return err_set(e, "target_modules and target_parameters both mean '%s'", name);
	return lora_site_matrix(a, m, (int)i, w, parent_of(&a->mem, name), name, t, e);
}

/* Weights that other ones stand for: all but the first of a tensor, and of experts. */
static bool is_inside(const struct weight *w)
{
	return w->expert > 0 || (w->spec->fused && w->spec->fused->part > 0);
}

int lora_parameters_add(struct adapter *a, const struct model *m, const struct lora_terms *t, struct err *e)
{
	struct lora *o = a->own;
	size_t n = 0;

	if (peft_empty(names_of(a)) || !names_of(a))
		return 0;
	if (check(a, t, e) < 0)
		return -1;
	o->fused = arena_array(&a->mem, m->n_weights, sizeof(*o->fused));
	for (size_t i = 0; i < m->n_weights; i++) {
		const char *name = is_inside(&m->weights[i]) ? NULL : target_parameter(&a->mem, &m->weights[i]);
		if (!name || !target_listed(names_of(a), name))
			continue;
		if (add(a, m, i, name, t, e) < 0)
			return -1;
		n++;
	}
	return n || o->n || json_array_size(json_object_get(a->config, "target_modules")) ? 0 :
	       err_set(e, "target_parameters means no parameter of this model");
}

/* "mlp.experts.gate_up_proj, …": the tensors of experts, of one layer. */
static const char *tensors_of(struct arena *mem, const struct model *m)
{
	const char *text = "";
	int layer = -1;

	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		if (!begins_tensor(w) || (layer >= 0 && w->layer != layer))
			continue;
		layer = w->layer;
		text = arena_printf(mem, "%s%s%s", text, *text ? ", " : "", target_parameter(mem, w));
	}
	return *text ? text : "no tensors of experts; a matrix has the name of its weight, as q_proj.weight";
}

int lora_parameters_known(struct adapter *a, const struct model *m, struct err *e)
{
	json_t *entry;
	size_t k;

	json_array_foreach(names_of(a), k, entry) {
		bool found = false;
		json_t *one = json_pack("[O]", entry);
		for (size_t i = 0; i < m->n_weights && !found; i++)
			found = !is_inside(&m->weights[i]) &&
			        target_listed(one, target_parameter(&a->mem, &m->weights[i]));
		json_decref(one);
		if (!found)
			return err_set(e, "target_parameters: there is no parameter '%.80s' in this model; it has %s",
			               json_string_value(entry), tensors_of(&a->mem, m));
	}
	return 0;
}

/* --- the two forms --- */

static float *numbers(const struct adapter *a, int param)
{
	return a->overlay.params.w + a->overlay.params.items[param].offset;
}

/* Of one expert, to files or from them. */
static void copy_expert(const struct adapter *a, const struct lora_fused *f, const struct adapter *files, int as_files,
                        size_t expert, bool to_files)
{
	size_t parts = (size_t)f->as->parts, first = (size_t)f->first + expert * (1 + parts), width = f->r * f->experts;
	float *own = numbers(a, (int)first), *file = numbers(files, as_files) + expert * f->r * f->in;

	memcpy(to_files ? file : own, to_files ? own : file, f->r * f->in * sizeof(*own));
	for (size_t p = 0; p < parts; p++) {
		struct weight_fused part = *f->as;
		part.part = (int)p;
		own = numbers(a, (int)(first + 1 + p));
		file = numbers(files, as_files + 1) + expert;
		for (size_t i = 0; i < f->out; i++)
			for (size_t k = 0; k < f->r; k++) {
				float *x = &own[i * f->r + k];
				float *y = &file[fused_row(&part, i, f->out) * width + k * f->experts];
				*(to_files ? y : x) = *(to_files ? x : y);
			}
	}
}

static void copy_tensors(const struct adapter *a, const struct adapter *files, bool to_files)
{
	const struct lora *o = a->own, *f = files->own;

	for (size_t i = 0; i < o->n_fused; i++)
		for (size_t k = 0; k < o->fused[i].experts; k++)
			copy_expert(a, &o->fused[i], files, f->fused[i].first, k, to_files);
}

/* What both have under one name. */
static void copy_named(struct adapter *to, const struct adapter *from)
{
	for (size_t i = 0; i < to->overlay.params.n_items; i++) {
		int at = params_find(&from->overlay.params, to->overlay.params.items[i].name);
		if (at >= 0)
			memcpy(numbers(to, (int)i), numbers(from, at), to->overlay.params.items[i].n * sizeof(float));
	}
}

void lora_parameters_join(struct adapter *files, const struct adapter *a)
{
	copy_named(files, a);
	copy_tensors(a, files, true);
}

void lora_parameters_part(struct adapter *a, const struct adapter *files)
{
	copy_named(a, files);
	copy_tensors(a, files, false);
}
