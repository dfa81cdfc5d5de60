/* sizes: names to shapes to config.json. See sizes.h.
 *
 * A config.json is made by the rows of the architecture's own tables (config.h): each letter's row says under which key
 * its family has it. */
#include "model/sizes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/human.h"
#include "base/mem.h"
#include "model/config.h"
#include "model/config_rows.h"
#include "model/init.h"
#include "model/weights.h"

enum { HEAD = 64, SMALL_HEAD = 32, SMALL_WIDTH = 256 };

const struct size sizes[] = {
	{ NULL, "nano", 2, 128, 4, 0, 0, NULL },
	{ NULL, "micro", 3, 192, 6, 0, 0, NULL },
	{ NULL, "tiny", 4, 256, 4, 0, 0, NULL },
	{ NULL, "mini", 6, 384, 6, 0, 0, NULL },
	{ NULL, "small", 8, 512, 8, 0, 0, NULL },
	{ NULL, "base", 12, 768, 12, 0, 0, NULL },
	{ "gpt2", "124M", 12, 768, 12, 0, 0, "GPT-2 (Radford et al. 2019)" },
	{ "gpt2", "355M", 24, 1024, 16, 0, 0, "GPT-2 medium" },
	{ "gpt2", "774M", 36, 1280, 20, 0, 0, "GPT-2 large" },
	{ "gpt2", "1558M", 48, 1600, 25, 0, 0, "GPT-2 XL" },
	{ "llama", "15M", 6, 288, 6, 0, 768, "llama2.c's stories15M" },
	{ "llama", "42M", 8, 512, 8, 0, 1376, "llama2.c's stories42M" },
	{ "llama", "110M", 12, 768, 12, 0, 2048, "llama2.c's stories110M" },
	{ "llama", "135M", 30, 576, 9, 3, 1536, "SmolLM2-135M (Allal et al. 2025)" },
	{ "llama", "360M", 32, 960, 15, 5, 2560, "SmolLM2-360M" },
	{ "bert", "tiny", 2, 128, 2, 0, 0, "BERT tiny (Turc et al. 2019)" },
	{ "bert", "mini", 4, 256, 4, 0, 0, "BERT mini" },
	{ "bert", "small", 4, 512, 8, 0, 0, "BERT small" },
	{ "bert", "medium", 8, 512, 8, 0, 0, "BERT medium" },
	{ "bert", "base", 12, 768, 12, 0, 0, "BERT base (Devlin et al. 2019)" },
	{ 0 },
};

/* --- the rule --- */

struct size size_of_depth(int depth)
{
	int width = HEAD * depth;

	return (struct size){ .layers = depth, .width = width,
		              .heads = width / (width < SMALL_WIDTH ? SMALL_HEAD : HEAD) };
}

double size_depth_parameters(int depth) { return 12.0 * HEAD * HEAD * pow(depth, 3); }

int size_nearest_depth(double parameters)
{
	int best = 1;

	for (int d = 2; d <= SIZE_DEPTH_MOST; d++)
		if (fabs(log(size_depth_parameters(d) / parameters)) <
		    fabs(log(size_depth_parameters(best) / parameters)))
			best = d;
	return best;
}

/* --- a family --- */

static const struct weight_spec *next_row(const struct arch *a, const struct weight_spec *s)
{
	s = s ? s + 1 : a->weights;
	return s->hf ? s : NULL;
}

/* Whether a feed-forward has a matrix more than in and out. */
static bool is_gated(const struct arch *a)
{
	int in = 0;

	for (const struct weight_spec *s = next_row(a, NULL); s; s = next_row(a, s))
		if (s->shape)
			in += !strncmp(s->shape, "2F,C", 4) || !strncmp(s->shape, "E,", 2) ? 2 :
			      !strncmp(s->shape, "F,C", 3);
	return in > 1;
}

static int hidden_of(const struct arch *a, const struct size *s)
{
	return s->hidden ? s->hidden : is_gated(a) ? ROUND_UP(8 * s->width / 3, 64) : 4 * s->width;
}

static int letter_of(const struct arch *a, const struct size *s, int context, char letter)
{
	switch (letter) {
	case 'L': return s->layers;
	case 'C': return s->width;
	case 'H': return s->heads;
	case 'G': return s->groups ? s->groups : s->heads;
	case 'q': /* Gemma's query_pre_attn_scalar: the size of a head */
	case 'D': return a->state ? s->width : s->width / s->heads;
	case 'F': return hidden_of(a, s);
	case 'P': return context;
	default: return 0;
	}
}

static json_t *with_rows(const struct arch *a, const struct size *s, int context)
{
	json_t *j = json_pack("{s:s}", "model_type", a->hf_types[0]);
	struct config_walk w = { .tables = a->fields };
	const struct config_field *f;

	while ((f = config_next(&w))) {
		/* Phi 3's letters are others: the longest context and the one before it was stretched */
		bool positions = f->hf && strstr(f->hf, "max_position_embeddings");
		int x = positions ? context : letter_of(a, s, context, f->letter);
		if (f->kind == CONFIG_KIND_INT && f->hf && x)
			json_object_set_new(j, f->hf, json_integer(x));
		if (f->hf && !strcmp(f->hf, "tie_word_embeddings") && !a->state)
			json_object_set_new(j, f->hf, json_true());
	}
	return j;
}

json_t *size_config_of(const struct arch *a, const struct size *s, int context)
{
	json_t *j = with_rows(a, s, context);
	struct err e = ERR_INIT;
	struct model m;

	json_object_set_new(j, "vocab_size", json_integer(1)); /* the tokenizer says it later */
	if (model_new_facts(&m, j, &(struct init_options){ .seed = 0 }, &e) < 0)
		BUG("a %s of %d blocks: %s", a->name, s->layers, e.msg);
	int unused = context - m.config.n_ctx; /* RoBERTa's table of positions begins with some */
	model_close(&m);
	json_decref(j);
	return with_rows(a, s, context + MAX(unused, 0));
}

static bool grows(const struct arch *a, const struct config_field *f)
{
	return f->kind == CONFIG_KIND_INT && f->hf && f->letter &&
	       (strchr("CHGFMS", f->letter) || (f->letter == 'D' && a->state));
}

json_t *size_widened(const json_t *config, int times, struct err *e)
{
	struct model m;

	if (model_new_facts(&m, config, &(struct init_options){ .seed = 0 }, e) < 0)
		return NULL;
	json_t *j = json_deep_copy(m.source.config);
	struct config_walk w = { .tables = m.config.arch->fields };
	const struct config_field *f;
	while ((f = config_next(&w))) {
		int x = grows(m.config.arch, f) ? *(const int *)config_place(&m.config, f) : 0;
		if (x)
			json_object_set_new(j, f->hf, json_integer((json_int_t)x * times));
	}
	model_close(&m);
	return j;
}

/* --- names --- */

static const struct arch *find_arch(const char *name, size_t n)
{
	for (size_t i = 0; arch_table[i]; i++)
		if (arch_table[i]->hf_types[0] && strlen(arch_table[i]->name) == n &&
		    !strncmp(arch_table[i]->name, name, n))
			return arch_table[i];
	return NULL;
}

/* 15M, 1.5B; 0: it is no such number. */
static double number_of(const char *text)
{
	char *end;
	double x = strtod(text, &end);
	double unit = *end == 'K' ? 1e3 : *end == 'M' ? 1e6 : *end == 'B' ? 1e9 : 0;

	return unit > 0 && !end[1] && x > 0 && text[0] >= '0' && text[0] <= '9' ? x * unit : 0;
}

static bool find_size(const struct arch *a, const char *name, struct size *out)
{
	char *end = NULL;
	long depth = name[0] == 'd' && name[1] >= '1' && name[1] <= '9' ? strtol(name + 1, &end, 10) : 0;
	const struct size *found = NULL;

	for (const struct size *s = sizes; s->name; s++)
		if (!strcmp(s->name, name) && (!s->family || !strcmp(s->family, a->name)))
			found = s; /* a family's own comes after the rule's */
	if (found)
		*out = *found;
	else if (depth > 0 && depth <= SIZE_DEPTH_MOST && !*end)
		*out = size_of_depth((int)depth);
	else if (number_of(name) > 0)
		*out = size_of_depth(size_nearest_depth(number_of(name)));
	else
		return false;
	return true;
}

static void add_families(struct buf *b)
{
	for (size_t i = 0; arch_table[i]; i++)
		if (arch_table[i]->hf_types[0])
			buf_addf(b, "%s%s", i ? ", " : "", arch_table[i]->name);
}

json_t *size_config(const char *name, int context, struct err *e)
{
	const char *dash = strchr(name, '-');
	const struct arch *a = dash ? find_arch(name, (size_t)(dash - name)) : NULL;
	struct buf families = BUF_INIT;
	struct size s;

	if (a && find_size(a, dash + 1, &s))
		return size_config_of(a, &s, context);
	if (a) {
		err_set(e, "'%.80s': %s has no size %.40s; nano, micro, tiny, mini, small, base, dN (N blocks of width "
		           "64N) or a number of parameters as 15M was wanted", name, a->name, dash + 1);
	} else {
		add_families(&families);
		err_set(e, "'%.80s' is no size of a model; FAMILY-SIZE was wanted, as llama-mini, with a family of %s",
		        name, buf_str(&families));
	}
	buf_release(&families);
	return NULL;
}

void size_list(struct buf *b)
{
	for (const struct size *s = sizes; s->name; s++) {
		char count[32];
		double n = s->layers * 12.0 * s->width * s->width;
		buf_addf(b, "%-8s %-7s %3d blocks of %4d, %2d heads, %s in blocks%s%s\n", s->family ? s->family : "any",
		         s->name, s->layers, s->width, s->heads, human_count(n, count), s->known_as ? "; " : "",
		         s->known_as ? s->known_as : "");
	}
}

/* --- cost --- */

struct size_cost size_cost(const struct model *m, int context)
{
	struct size_cost c = { 0 };
	const struct config *k = &m->config;
	int of, chosen = model_experts(m, &of);

	for (size_t i = 0; i < m->n_weights; i++) {
		const struct weight *w = &m->weights[i];
		double n = (double)weight_numbers(w);
		bool table = w->spec->flags & WEIGHT_EMBED, head = w->spec->flags & WEIGHT_HEAD;
		c.parameters += n;
		c.blocks += table || head ? 0 : n;
		if (w->n_dims > 1 && (!table || (int)i == model_head(m)))
			c.active += w->expert >= 0 && of ? n * chosen / of : n;
	}
	c.flops = 6 * c.active;
	if (!k->arch->state)
		c.flops += (k->arch->encoder ? 12.0 : 6.0) * k->n_layers * k->H * k->D * context;
	return c;
}
