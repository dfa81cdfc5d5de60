/* bottleneck_config: BnConfig's keys. Source: adapters/configuration/adapter_config.py. */
#include "adapt/bottleneck_config.h"

#include <ctype.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#include "adapt/peft_config.h"
#include "base/buf.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { WIDTH_MAX = 65536 };

/* --- reading --- */

static const char *const read_keys[] = {
	"adapter_residual_before_ln", "dropout", "init_weights", "is_parallel", "leave_out", "ln_after", "ln_before",
	"mh_adapter", "non_linearity", "original_ln_after", "original_ln_before", "output_adapter", "reduction_factor",
	"residual_before_ln", "scaling", NULL,
};
/* what is said of parts that are refused, or of how it began; models that we have know no cross attention */
static const char *const inert_keys[] = {
	"cross_adapter", "factorized_phm_W", "factorized_phm_rule", "hypercomplex_nonlinearity", "init_weights_seed",
	"inv_adapter_reduction_factor", "learn_phm", "phm_bias", "phm_c_init", "phm_dim", "phm_init_range", "phm_rank",
	"shared_W_phm", "shared_phm_rule", NULL,
};

static bool is_one_of(const char *word, const char *const *list)
{
	for (; *list; list++)
		if (!strcmp(word, *list))
			return true;
	return false;
}

static bool says_nothing(const json_t *v)
{
	return peft_empty(v) || (json_is_number(v) && json_number_value(v) == 0);
}

static int check_keys(const json_t *config, struct err *e)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)config, key, value)
		if (!is_one_of(key, read_keys) && !is_one_of(key, inert_keys) && !says_nothing(value))
			return peft_refuse(key, value, e);
	return 0;
}

static const struct { const char *name; bool linear; enum activation f; } activations[] = {
	{ "relu", false, ACT_RELU },          { "swish", false, ACT_SILU },
	{ "silu", false, ACT_SILU },          { "gelu", false, ACT_GELU },
	{ "gelu_new", false, ACT_GELU_TANH }, { "gelu_pytorch_tanh", false, ACT_GELU_TANH },
	{ "gelu_fast", false, ACT_GELU_TANH }, { "relu2", false, ACT_RELU2 },
	{ "tanh", false, ACT_TANH },          { "sigmoid", false, ACT_SIGMOID },
	{ "linear", true, ACT_RELU },
};

static int read_activation(struct bottleneck_config *c, const json_t *config, struct err *e)
{
	const json_t *v = json_object_get(config, "non_linearity");
	const char *name = json_string_value(v);

	for (size_t i = 0; name && i < ARRAY_LEN(activations); i++)
		if (!strcasecmp(name, activations[i].name)) {
			c->linear = activations[i].linear;
			c->f = activations[i].f;
			return 0;
		}
	return v ? peft_refuse("non_linearity", v, e) : err_set(e, "non_linearity is not there");
}

static int read_scaling(struct bottleneck_config *c, const json_t *config, struct err *e)
{
	const json_t *v = json_object_get(config, "scaling");
	const char *word = json_string_value(v);

	c->by = 1;
	if (word && !strcmp(word, "learned"))
		c->scaling = SCALING_NUMBER;
	else if (word && !strcmp(word, "channel"))
		c->scaling = SCALING_CHANNEL;
	else if (json_is_number(v) && isfinite(json_number_value(v)))
		c->by = (float)json_number_value(v);
	else if (v)
		return peft_refuse("scaling", v, e);
	return 0;
}

static int read_residual(struct bottleneck_config *c, const json_t *config, struct err *e)
{
	const json_t *v = json_object_get(config, "residual_before_ln");
	const char *word = json_string_value(v);

	if (!v || json_is_true(v))
		c->residual = RESIDUAL_MADE;
	else if (json_is_false(v))
		c->residual = RESIDUAL_NORMED;
	else if (word && !strcmp(word, "post_add"))
		c->residual = RESIDUAL_SUM;
	else
		return peft_refuse("residual_before_ln", v, e);
	return 0;
}

static int read_init(struct bottleneck_config *c, const json_t *config, struct err *e)
{
	static const char *const names[] = { [INIT_BERT] = "bert", [INIT_MAM] = "mam_adapter",
		                             [INIT_HOULSBY] = "houlsby" };
	const json_t *v = json_object_get(config, "init_weights");
	const char *word = json_string_value(v);

	c->init = INIT_BERT;
	for (int i = 0; word && i < (int)ARRAY_LEN(names); i++)
		if (!strcmp(word, names[i])) {
			c->init = i;
			return 0;
		}
	return v ? peft_refuse("init_weights", v, e) : 0;
}

static int read_flags(struct bottleneck_config *c, const json_t *config, struct err *e)
{
	const struct { const char *key; int init; bool *to; } flags[] = {
		{ "mh_adapter", 0, &c->at[0] },
		{ "output_adapter", 0, &c->at[1] },
		{ "is_parallel", 0, &c->parallel },
		{ "original_ln_before", 0, &c->sum_before },
		{ "original_ln_after", 1, &c->sum_after },
		{ "ln_before", 0, &c->ln_before },
		{ "ln_after", 0, &c->ln_after },
		{ "adapter_residual_before_ln", 0, &c->residual_in_norm },
	};

	for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
		int value;
		if (jsonx_bool(config, flags[i].key, flags[i].init, &value, e) < 0)
			return -1;
		*flags[i].to = value;
	}
	if (!c->at[0] && !c->at[1])
		return err_set(e, "neither mh_adapter nor output_adapter is true: there is nothing to add");
	return 0;
}

int bottleneck_read(struct bottleneck_config *c, const json_t *config, int layers, struct err *e)
{
	double dropout;
	size_t i;
	json_t *layer;

	*c = (struct bottleneck_config){ .reduction = json_object_get(config, "reduction_factor"),
		                         .left_out = json_object_get(config, "leave_out") };
	if (check_keys(config, e) < 0 || read_flags(c, config, e) < 0 || read_activation(c, config, e) < 0 ||
	    read_scaling(c, config, e) < 0 || read_residual(c, config, e) < 0 || read_init(c, config, e) < 0 ||
	    peft_dropout(config, "dropout", &dropout, e) < 0)
		return -1;
	c->dropout = (float)dropout;
	if (c->left_out && !json_is_null(c->left_out) && !json_is_array(c->left_out))
		return peft_refuse("leave_out", c->left_out, e);
	json_array_foreach(c->left_out, i, layer)
		if (!json_is_integer(layer) || json_integer_value(layer) < 0 || json_integer_value(layer) >= layers)
			return err_set(e, "leave_out: layers 0 to %d were wanted", layers - 1);
	return 0;
}

static const json_t *reduction_of(const struct bottleneck_config *c, int layer)
{
	char key[16];

	if (!json_is_object(c->reduction))
		return c->reduction;
	snprintf(key, sizeof(key), "%d", layer);
	const json_t *own = json_object_get(c->reduction, key);
	return own ? own : json_object_get(c->reduction, "default");
}

int bottleneck_width(const struct bottleneck_config *c, int layer, int C, struct err *e)
{
	const json_t *by = reduction_of(c, layer);
	double x = json_number_value(by);
	size_t i;
	json_t *left;

	json_array_foreach(c->left_out, i, left)
		if (json_integer_value(left) == layer)
			return 0;
	if (!by)
		return err_set(e, "reduction_factor says nothing of layer %d, and has no default", layer);
	if (!json_is_number(by) || !(x > 0) || !isfinite(x))
		return peft_refuse("reduction_factor", by, e);
	double width = rint((C - fmod(C, x)) / x); /* as Python divides */
	if (width > WIDTH_MAX)
		return err_set(e, "reduction_factor is %g, which makes %.0f numbers of %d; at most %d are done", x,
		               width, C, WIDTH_MAX);
	return width < 1 ? 1 : (int)width;
}

/* --- a new one --- */

/* What the names stand for: what differs from BnConfig's own defaults. scaling 0: learned. */
static const struct named {
	const char *name, *older;
	bool mh, sum_before, parallel;
	const char *non_linearity;
	int reduction;
	double scaling;
	double rate;                   /* of learning: what reads x with its few large numbers wants less */
} names[] = {
	{ "double_seq_bn", "houlsby", true, false, false, "swish", 16, 1, 1e-3 },
	{ "seq_bn", "pfeiffer", false, true, false, "relu", 16, 1, 5e-4 },
	{ "par_bn", "parallel", false, false, true, "relu", 2, 4, 3e-5 },
	{ "scaled_par_bn", "scaled_parallel", false, false, true, "relu", 2, 0, 1e-4 },
};

/* All of BnConfig's keys. The library begins sequential ones with "bert", which changes what the model says before
 * anything is learnt; here all begin with a last product of 0. */
static json_t *named_config(const struct named *n)
{
	json_t *j = json_pack("{s:b, s:b, s:b, s:f, s:b, s:b, s:s, s:s, s:n, s:n, s:n, s:b, s:b, s:[], s:b, s:b, s:b}",
	                      "adapter_residual_before_ln", 0, "cross_adapter", 0, "output_adapter", 1, "dropout", 0.0,
	                      "factorized_phm_W", 1, "factorized_phm_rule", 0, "hypercomplex_nonlinearity",
	                      "glorot-uniform", "init_weights", "mam_adapter", "init_weights_seed", "inv_adapter",
	                      "inv_adapter_reduction_factor", "is_parallel", (int)n->parallel, "learn_phm", 1,
	                      "leave_out", "ln_after", 0, "ln_before", 0, "mh_adapter", (int)n->mh);
	json_t *rest = json_pack("{s:s, s:b, s:b, s:b, s:s, s:i, s:f, s:b, s:i, s:i, s:b, s:o, s:b, s:b, s:f, s:b}",
	                         "non_linearity", n->non_linearity, "original_ln_after", 1, "original_ln_before",
	                         (int)n->sum_before, "phm_bias", 1, "phm_c_init", "normal", "phm_dim", 4,
	                         "phm_init_range", 0.0001, "phm_layer", 0, "phm_rank", 1, "reduction_factor",
	                         n->reduction, "residual_before_ln", 1, "scaling",
	                         n->scaling != 0 ? json_real(n->scaling) : json_string("learned"), "shared_W_phm", 0,
	                         "shared_phm_rule", 1, "stochastic_depth", 0.0, "use_gating", 0);

	if (!j || !rest)
		BUG("a config that cannot be packed");
	json_object_update(j, rest);
	json_decref(rest);
	return j;
}

/* A word of what stands in brackets, Python's or bare, as JSON has it. Returns what comes after it. */
static const char *add_word(struct buf *out, const char *at)
{
	static const char *const words[][2] = { { "True", "true" }, { "False", "false" }, { "None", "null" },
		                                { "true", "true" }, { "false", "false" }, { "null", "null" } };
	size_t n = 0;

	while (isalnum((unsigned char)at[n]) || at[n] == '_')
		n++;
	const char *rest = at + n + strspn(at + n, " ");
	for (size_t i = 0; *rest != '=' && i < ARRAY_LEN(words); i++)
		if (strlen(words[i][0]) == n && !memcmp(at, words[i][0], n)) {
			buf_adds(out, words[i][1]);
			return at + n;
		}
	buf_addf(out, "\"%.*s\"", (int)n, at);
	if (*rest != '=')
		return at + n;
	buf_addc(out, ':');
	return rest + 1;
}

/* "k=v, …" as Python has keyword arguments, as a JSON object. */
static json_t *arguments(const char *text, size_t n, struct err *e)
{
	struct buf b = BUF_INIT;
	const char *at = text, *end = text + n;

	buf_addc(&b, '{');
	while (at < end) {
		const char *close = *at == '\'' || *at == '"' ? memchr(at + 1, *at, (size_t)(end - at - 1)) : NULL;
		if (close) {
			buf_addf(&b, "\"%.*s\"", (int)(close - at - 1), at + 1);
			at = close + 1;
		} else if (isalpha((unsigned char)*at) || *at == '_') {
			at = add_word(&b, at);
		} else {
			buf_addc(&b, *at++);
		}
	}
	buf_addc(&b, '}');
	json_t *j = jsonx_load(buf_str(&b), b.len, "adapter-config", e);
	buf_release(&b);
	return j;
}

/* What stands in brackets takes the place of what is there. */
static int override(json_t *config, const char *text, const char *open, struct err *e)
{
	size_t n = strlen(open);
	const char *key;
	json_t *value;

	if (open[n - 1] != ']')
		return err_set(e, "adapter-config: '%s' has no ']' at its end", text);
	json_t *given = arguments(open + 1, n - 2, e);
	if (!given)
		return err_prefix(e, "'%s': NAME[KEY=VALUE, …] was wanted", text);
	json_object_foreach(given, key, value)
		if (!json_object_get(config, key)) {
			err_set(e, "adapter-config: there is no key '%.80s'", key);
			json_decref(given);
			return -1;
		}
	json_object_update(config, given);
	json_decref(given);
	return 0;
}

/* The one that the text begins with, up to a bracket; NULL: there is none. */
static const struct named *find_named(const char *text)
{
	size_t n = strcspn(text, "[");

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if ((strlen(names[i].name) == n && !memcmp(text, names[i].name, n)) ||
		    (strlen(names[i].older) == n && !memcmp(text, names[i].older, n)))
			return &names[i];
	return NULL;
}

double bottleneck_rate(const char *text)
{
	const struct named *named = find_named(text);

	return named ? named->rate : names[0].rate;
}

json_t *bottleneck_make(const char *text, double reduction, struct err *e)
{
	const char *open = strchr(text, '[');
	const struct named *named = find_named(text);

	if (!named || !utf8_valid(text, strlen(text), NULL)) {
		err_set(e, "adapter-config is '%.80s'; double_seq_bn, seq_bn, par_bn or scaled_par_bn was wanted, with "
		           "[KEY=VALUE, …] behind it or not", text);
		return NULL;
	}
	json_t *config = named_config(named);
	if (open && override(config, text, open, e) < 0) {
		json_decref(config);
		return NULL;
	}
	if (!isnan(reduction))
		json_object_set_new(config, "reduction_factor", reduction == floor(reduction) ?
		                                                        json_integer((json_int_t)reduction) :
		                                                        json_real(reduction));
	json_t *scaling = json_object_get(config, "scaling");
	if (json_is_integer(scaling)) /* the library takes no whole number for one */
		json_object_set_new(config, "scaling", json_real((double)json_integer_value(scaling)));
	return config;
}
