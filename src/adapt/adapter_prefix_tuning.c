/* adapter_prefix_tuning: keys and values of n virtual tokens that stand before every text, in each layer (Li and Liang
 * 2021).
 *
 *     k = [P_k; k(text)], v = [P_v; v(text)]    P [n, layers · 2 · G·D]: of each layer the keys, then the values
 *
 * Keys are those that attention reads, so they are not rotated any more, and the text begins at position n. PEFT's
 * PrefixTuningConfig (prefix_tuning/model.py, peft_model.py get_prompt) has P as its embedding, and so do its files.
 *
 * The virtual tokens are rows of the batch, because keys are (op/op_attention.c); what the model makes of them is read
 * by nobody, and no gradient comes from there. They are n rows of a micro-batch, and are fed once to a session.
 *
 * With a projection P is W·tanh(V·E + c) + b, E [n, G·D], while it is trained; then b begins as the mean of what P
 * would begin as.
 *
 * P begins as the keys and values that a real text has, or tokens drawn from the vocabulary: random numbers, PEFT's
 * default, are where no keys are, and learn far worse. */
#include <string.h>

#include "adapt/prompt_encoder.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "kernel/kernels.h"
#include "model/graph.h"
#include "model/past_keys.h"

struct options {
	struct soft_prompt_options prompt;
	const char *init, *text;
	bool projection;
	int64_t hidden;
};

static const struct opt opts[] = {
	SOFT_PROMPT_OPTS(struct options, prompt, "20"),
	OPT_CHOICE("prefix-init", struct options, init, NULL, "text|sample_vocab|random|zero",
	           "what a prefix begins as: the keys and values of a text, of drawn tokens, N(0, 1), or zeros; with a "
	           "text that, else sample_vocab"),
	OPT_STRING("prefix-init-text", struct options, text, NULL, "TEXT",
	           "a text whose keys and values it begins as, repeated or cut to the number of virtual tokens"),
	OPT_FLAG("prefix-projection", struct options, projection, "false",
	         "an MLP makes the prefix while it is trained"),
	OPT_INT("encoder-hidden-size", struct options, hidden, "128", 1, 1 << 16,
	        "numbers between the encoder's layers"),
	OPT_END
};

static const struct peft_keys keys = {
	.read = (const char *const[]){ NULL },
	.inert = (const char *const[]){ "encoder_hidden_size", "init_weights", "prefix_projection", NULL },
};

static const char *init_of(const struct options *o)
{
	return o->init ? o->init : o->text ? "text" : "sample_vocab";
}

static int check_options(const struct options *o, struct err *e)
{
	bool text = !strcmp(init_of(o), "text");

	if (text && !o->text)
		return err_set(e, "--prefix-init text wants --prefix-init-text");
	if (!text && o->text)
		return err_set(e, "--prefix-init-text goes with --prefix-init text, not %s", o->init);
	return 0;
}

/* --- building --- */

static int check_layers(const struct model *m, struct err *e)
{
	int n = past_keys_layers(m, e);

	if (n < 0 || n == m->config.n_layers)
		return MIN(n, 0);
	return err_set(e, "of the model's %d layers %d have keys and values that a prefix can stand before",
	               m->config.n_layers, n);
}

/* w [n, width]: what the model keeps of real tokens. */
static int begin_real(const struct model *m, const struct options *o, uint64_t seed, float *w, size_t n, struct err *e)
{
	size_t width = soft_prompt_width(m, PROMPT_KEYS);
	struct past_keys to = { (int32_t)n, w, width / 2 / (size_t)m->config.n_layers, width };
	const struct kernels *k = kernels_get(NULL, e);
	int32_t *ids = mem_array(n, sizeof(*ids));
	struct pool *pool = pool_new(0);
	struct device d = device_cpu(k, pool);
	int status = k ? 0 : -1;

	if (o->text && status == 0)
		status = soft_prompt_text(m, o->text, "--prefix-init-text", ids, n, e);
	else
		soft_prompt_draw(m, seed, ids, n);
	if (status == 0)
		status = past_keys_make(&to, m, NULL, &d, ids, false, e);
	pool_free(pool);
	mem_free(ids);
	return status;
}

/* The projection's own numbers begin as PEFT's: drawn, or with a last linear of zeros. */
static int fill_projection(struct adapter *a, const struct model *m, const struct options *o, uint64_t seed,
                           struct err *e)
{
	const struct params *all = &a->overlay.params;
	const struct prompt_encoder *encoder = a->own;
	const struct param *last = &all->items[encoder->n - 2], *bias = last + 1;
	size_t n = (size_t)a->overlay.virtual_tokens, width = bias->n;
	float *b = all->w + bias->offset;

	prompt_encoder_begin(a, seed);
	if (!strcmp(init_of(o), "random"))
		return 0;
	memset(b, 0, width * sizeof(*b));
	if (!strcmp(init_of(o), "zero")) {
		memset(all->w + last->offset, 0, last->n * sizeof(*b));
		return 0;
	}
	float *rows = mem_array(n * width, sizeof(*rows));
	int status = begin_real(m, o, seed, rows, n, e);
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < width; j++)
			b[j] += rows[i * width + j] / (float)n;
	mem_free(rows);
	return status;
}

static int fill(struct adapter *a, const struct model *m, const struct options *o, uint64_t seed, struct err *e)
{
	const struct param *p = &a->overlay.params.items[0];
	float *w = a->overlay.params.w + p->offset;
	struct rng_key key = { seed, RNG_INIT };

	if (o->projection)
		return fill_projection(a, m, o, seed, e);
	if (!strcmp(init_of(o), "zero"))
		return 0;
	if (strcmp(init_of(o), "random") != 0)
		return begin_real(m, o, seed, w, p->dim[0], e);
	for (size_t i = 0; i < p->n; i++)
		w[i] = rng_normal(key, i, p->site, 0);
	return 0;
}

static json_t *own_config(const struct model *m, const struct options *o)
{
	json_int_t width = m->config.G * m->config.D;

	return json_pack("{s:I, s:s?, s:b}", "encoder_hidden_size", o->projection ? (json_int_t)o->hidden : width,
	                 "init_weights", strcmp(init_of(o), "zero") ? NULL : "zero", "prefix_projection",
	                 (int)o->projection);
}

static int attach(struct adapter *a, const struct model *m, const void *options, uint64_t seed, struct err *e)
{
	const struct options *o = options;

	if (check_options(o, e) < 0)
		return -1;
	soft_prompt_begin(a, m, PROMPT_KEYS, &o->prompt, own_config(m, o));
	if (soft_prompt_check(a, m, PROMPT_KEYS, &keys, e) < 0 || check_layers(m, e) < 0)
		return -1;
	struct prompt_encoder_shape shape = { .in = (size_t)m->config.G * (size_t)m->config.D,
		                              .hidden = (size_t)o->hidden, .out = soft_prompt_width(m, PROMPT_KEYS),
		                              .dense = 2, .f = DENSE_TANH, .head = "transform" };
	if (o->projection)
		prompt_encoder_add(a, &shape);
	else
		soft_prompt_param(a, m, PROMPT_KEYS);
	return soft_prompt_seal(a, m, e) < 0 ? -1 : fill(a, m, o, seed, e);
}

static int load(struct adapter *a, const struct model *m, const json_t *config, const struct safetensors *s,
                const char *dir, struct err *e)
{
	return check_layers(m, e) < 0 ? -1 : soft_prompt_load(a, m, PROMPT_KEYS, &keys, config, s, dir, e);
}

/* --- use --- */

/* Their rows stay zeros; a projection is recorded here, once for all layers. */
static uint32_t virtual_rows(struct graph *g, const struct overlay *o, uint32_t y)
{
	if (o->ctx)
		*nn_made(g, o) = prompt_encoder_record(g, o, o->ctx);
	return y;
}

static int flatten(const struct adapter *a, const struct model *m, struct adapter *flat, struct err *e)
{
	return a->own ? prompt_encoder_flatten(a, m, PROMPT_KEYS, flat, e) : 1;
}

static void attention(struct graph *g, const struct overlay *o, uint32_t *k, uint32_t *v)
{
	size_t width = (size_t)g->model->config.G * (size_t)g->model->config.D, at = 2 * (size_t)g->layer * width;
	uint32_t p = *nn_made(g, o) ? *nn_made(g, o) : nn_param(g, o, 0);

	*k = soft_prompt_put(g, o, *k, p, at);
	*v = soft_prompt_put(g, o, *v, p, at + width);
}

static const struct overlay_hooks hooks = { .virtual_rows = virtual_rows, .attention = attention, .by_row = true };

const struct adapter_type adapter_prefix_tuning = {
	.name = "prefix_tuning",
	.summary = "keys and values for virtual tokens before every text",
	.learning_rate = 5e-3,
	.opts = opts,
	.options_size = sizeof(struct options),
	.size_option = "num-virtual-tokens",
	.peft_type = "PREFIX_TUNING",
	.attach = attach,
	.hooks = &hooks,
	.load = load,
	.flatten = flatten,
};
