/* init: weights drawn by name. See init.h.
 *
 * A matrix is drawn in pieces of PIECE numbers, four normals a counter; the key is the seed, the counter the place of
 * the four and 64 bits of a hash of the name. Truncated normals are drawn again until they lie within, each try with
 * a counter of its own. An orthogonal matrix is a drawn one whose shorter side's vectors are made orthogonal one after
 * the other (Gram-Schmidt, twice, in double; that is enough: Giraud et al. 2005), in one piece. */
#include "model/init.h"

#include <math.h>
#include <string.h>

#include "base/hash.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/rng.h"
#include "base/stop.h"
#include "base/text.h"
#include "model/config.h"
#include "model/config_rows.h"
#include "model/mup.h"
#include "model/weights.h"
#include "token/tokenizer.h"

enum { PIECE = 1 << 16 };

static const double usual_range = 0.02, usual_cutoff = 2;

double init_by_depth(const struct config *c, const struct weight *w)
{
	(void)w;
	return 1 / sqrt(2.0 * c->n_layers);
}

/* --- how a weight begins --- */

static bool is_true(const struct model *m, const char *key)
{
	return !key || json_is_true(json_object_get(m->source.config, key));
}

static const struct init_rule *rule_of(const struct model *m, const struct weight *w)
{
	for (const struct init_rule *r = m->config.arch->init; r && r->hf; r++)
		if (is_true(m, r->when) && (!strcmp(r->hf, w->spec->hf) || (!strcmp(r->hf, "*") && w->n_dims > 1)))
			return r;
	return NULL;
}

static enum init_form form_of(const struct weight *w, const struct init_rule *r)
{
	if (r)
		return r->form;
	return w->spec->flags & WEIGHT_NORM ? INIT_ONES : INIT_NORMAL;
}

/* σ; 0: the weight is zeros. */
static double size_of(const struct model *m, const struct weight *w, const struct init_rule *r)
{
	double size = r && r->size ? r->size(&m->config, w) : 1;

	if (!r && (w->spec->flags & WEIGHT_BIAS))
		return 0;
	size *= mup_size(m, (int)(w - m->weights));
	if (form_of(w, r) != INIT_ORTHOGONAL)
		return size * m->init->range;
	/* which shrink with the width by themselves, as a matrix of the blocks is to */
	return w->spec->flags & WEIGHT_EMBED ? size : size * sqrt(m->init->width);
}

/* The row that is 0, −1: none. */
static int64_t pad_row(const struct model *m, const struct weight *w, const struct init_rule *r)
{
	bool usual = (w->spec->flags & WEIGHT_EMBED) && !strcmp(w->spec->hf, m->config.arch->embedding);
	bool pads = r && r->pad ? r->pad == INIT_PAD_ZERO : usual;

	return pads && m->init->pad >= 0 && (size_t)m->init->pad < w->dim[0] ? m->init->pad : -1;
}

/* --- numbers --- */

struct draw {
	struct rng_key key;
	uint32_t name[2];
	double size, cutoff;
};

static struct draw draw_of(const struct model *m, const struct weight *w, const struct init_rule *r)
{
	uint64_t name = hash_64(w->name, strlen(w->name));

	return (struct draw){ { m->init->seed, RNG_INIT }, { (uint32_t)name, (uint32_t)(name >> 32) },
		              size_of(m, w, r), m->init->cutoff };
}

static void draw_normal(const struct draw *d, size_t first, size_t n, float *out)
{
	float four[4];

	for (size_t i = 0; i < n; i++) {
		if (i == 0 || (first + i) % 4 == 0)
			rng_normals(d->key, (first + i) / 4, d->name[0], d->name[1], four);
		out[i] = (float)(d->size * (double)four[(first + i) % 4]);
	}
}

static void draw_truncated(const struct draw *d, size_t first, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++) {
		double x;
		uint64_t try = 0;
		do
			x = (double)rng_normal(d->key, (first + i) | try++ << 48, d->name[0], d->name[1]);
		while (fabs(x) > d->cutoff);
		out[i] = (float)(d->size * x);
	}
}

/* Takes out of the n vectors' last what it has of those before; length 1 then. step: from number to number of a vector,
 * far: from vector to vector. */
static void make_apart(double *x, size_t which, size_t n, size_t step, size_t far)
{
	double *v = x + which * far, length = 0;

	for (int twice = 0; twice < 2; twice++)
		for (size_t k = 0; k < which; k++) {
			const double *u = x + k * far;
			double dot = 0;
			for (size_t i = 0; i < n; i++)
				dot += u[i * step] * v[i * step];
			for (size_t i = 0; i < n; i++)
				v[i * step] -= dot * u[i * step];
		}
	for (size_t i = 0; i < n; i++)
		length += v[i * step] * v[i * step];
	for (size_t i = 0; i < n; i++)
		v[i * step] /= sqrt(length);
}

static void draw_orthogonal(const struct draw *d, size_t rows, size_t cols, float *out)
{
	struct draw unit = *d;
	size_t n = rows * cols, vectors = MIN(rows, cols), length = MAX(rows, cols);
	double *x = mem_array(n, sizeof(*x));

	unit.size = 1;
	draw_normal(&unit, 0, n, out);
	for (size_t r = 0; r < rows; r++) /* vectors lie one after the other */
		for (size_t c = 0; c < cols; c++)
			x[rows < cols ? r * length + c : c * length + r] = (double)out[r * cols + c];
	for (size_t i = 0; i < vectors && !stop_asked(); i++)
		make_apart(x, i, length, 1, length);
	for (size_t r = 0; r < rows; r++)
		for (size_t c = 0; c < cols; c++)
			out[r * cols + c] = (float)(d->size * x[rows < cols ? r * length + c : c * length + r]);
	mem_free(x);
}

/* --- pieces --- */

static bool in_one_piece(const struct weight *w, const struct init_rule *r)
{
	enum init_form f = form_of(w, r);

	return f == INIT_ORTHOGONAL || f == INIT_FILL;
}

static size_t pieces_of(const struct model *m, const struct weight *w)
{
	return in_one_piece(w, rule_of(m, w)) ? 1 : (weight_numbers(w) + PIECE - 1) / PIECE;
}

static void fill_ones(const struct model *m, const struct weight *w, size_t n, float *out)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (float)mup_size(m, (int)(w - m->weights));
}

/* The part of row pad_token_id that lies in first … first+n. */
static void clear_pad(const struct model *m, const struct weight *w, const struct init_rule *r, size_t first, size_t n,
                      float *out)
{
	int64_t pad = pad_row(m, w, r);
	size_t cols = weight_numbers(w) / w->dim[0], from = (size_t)MAX(pad, 0) * cols;

	for (size_t i = MAX(from, first); pad >= 0 && i < MIN(from + cols, first + n); i++)
		out[i - first] = 0;
}

static void begin_piece(const struct model *m, const struct weight *w, size_t piece, float *all)
{
	const struct init_rule *r = rule_of(m, w);
	struct draw d = draw_of(m, w, r);
	size_t first = in_one_piece(w, r) ? 0 : piece * PIECE;
	size_t n = in_one_piece(w, r) ? weight_numbers(w) : MIN((size_t)PIECE, weight_numbers(w) - first);
	float *out = all + first;

	switch (form_of(w, r)) {
	case INIT_ONES:
		fill_ones(m, w, n, out);
		break;
	case INIT_FILL:
		r->fill(&m->config, w, out);
		break;
	case INIT_ORTHOGONAL:
		draw_orthogonal(&d, w->dim[0], w->dim[1], out);
		break;
	case INIT_TRUNCATED:
		draw_truncated(&d, first, n, out);
		break;
	case INIT_NORMAL:
		if (d.size > 0)
			draw_normal(&d, first, n, out);
		else
			memset(out, 0, n * sizeof(*out));
	}
	clear_pad(m, w, r, first, n, out);
}

struct job {
	const struct model *m;
	float *const *out;
	struct place { uint32_t weight, piece; } *place;
};

static void begin_item(void *ctx, size_t item, int thread)
{
	const struct job *j = ctx;
	struct place p = j->place[item];
	(void)thread;

	begin_piece(j->m, &j->m->weights[p.weight], p.piece, j->out[p.weight]);
}

int model_begin_weights(const struct model *m, float *const *out, struct pool *p, struct err *e)
{
	struct job j = { .m = m, .out = out };
	size_t n = 0;

	if (!m->init)
		BUG("%s is no new model", m->source.path);
	for (size_t i = 0; i < m->n_weights; i++)
		n += out[i] ? pieces_of(m, &m->weights[i]) : 0;
	j.place = mem_array(n + 1, sizeof(*j.place));
	n = 0;
	for (size_t i = 0; i < m->n_weights; i++)
		for (size_t k = 0; out[i] && k < pieces_of(m, &m->weights[i]); k++)
			j.place[n++] = (struct place){ (uint32_t)i, (uint32_t)k };
	bool whole = pool_try(p, n, begin_item, &j) && !stop_asked();
	mem_free(j.place);
	return whole ? 0 : stop_look(e, "the model's weights were drawn");
}

void model_begin_weight(const struct model *m, int i, float *out)
{
	const struct weight *w = &m->weights[i];

	for (size_t k = 0; k < pieces_of(m, w); k++)
		begin_piece(m, w, k, out);
}

/* --- the config --- */

static void set_id(json_t *j, const char *key, int32_t id)
{
	json_object_set_new(j, key, id >= 0 ? json_integer(id) : json_null());
}

static bool has_field(const struct arch *a, const char *key)
{
	struct config_walk w = { .tables = a->fields };
	const struct config_field *f;

	while ((f = config_next(&w)))
		if (f->hf && !strcmp(f->hf, key))
			return true;
	return false;
}

/* ModernBERT's config has ids that its class takes from a vocabulary of 50,368 where none are written. */
static void set_around(const struct arch *a, json_t *j, const struct tokenizer *t)
{
	int32_t cls = tokenizer_find(t, "[CLS]", 5), sep = tokenizer_find(t, "[SEP]", 5);

	if (!has_field(a, "cls_token_id") || cls < 0 || sep < 0)
		return;
	set_id(j, "cls_token_id", cls);
	set_id(j, "sep_token_id", sep);
}

/* Of a BERT or RoBERTa the file's pad_token_id is a fact of its positions, so it stays where the tokenizer has none. */
static void set_ids(const struct arch *a, json_t *j, const struct tokenizer *t)
{
	set_id(j, "bos_token_id", tokenizer_bos(t));
	set_id(j, "eos_token_id", tokenizer_eos(t));
	if (tokenizer_pad(t) >= 0 || !a->encoder)
		set_id(j, "pad_token_id", tokenizer_pad(t));
	set_around(a, j, t);
}

/* BertForMaskedLM of BertModel. */
static void set_class(const struct model *m, json_t *j, unsigned parts)
{
	const char *name = m->config.arch->hf_class;
	size_t stem = text_stem(name, "Model");

	if (m->config.arch->encoder && (parts & WEIGHT_OF_HEAD) && stem)
		json_object_set_new(j, "architectures", json_pack("[o]", json_sprintf("%.*sForMaskedLM", (int)stem,
		                                                                      name)));
	else
		json_object_set_new(j, "architectures", json_pack("[s]", name));
}

/* What a config.json leaves to its family is written out, so that it means the same in every version of it. */
static int complete(struct model *m, const struct init_options *o, struct err *e)
{
	static const char *const positions[] = { "rope_scaling", "rope_theta", "rope_local_base_freq" };
	json_t *whole = config_json(&m->config, e);

	if (!whole)
		return err_prefix(e, "%s", m->source.path);
	json_object_del(whole, "architectures");
	for (size_t i = 0; i < ARRAY_LEN(positions); i++)
		if (json_object_get(m->source.config, "rope_parameters"))
			json_object_del(whole, positions[i]);
	json_object_update_missing(m->source.config, whole);
	json_decref(whole);
	if (!json_object_get(m->source.config, "architectures"))
		set_class(m, m->source.config, o->parts);
	if (m->tokenizer)
		set_ids(m->config.arch, m->source.config, m->tokenizer);
	json_object_set_new(m->source.config, "initializer_range", json_real(m->init->range));
	return 0;
}

/* As transformers makes it of a config.json. */
static void make_generation_config(struct source *s)
{
	static const char *const ids[] = { "bos_token_id", "eos_token_id", "pad_token_id" };

	s->generation_config = json_pack("{s:b}", "_from_model_config", 1);
	for (size_t i = 0; i < ARRAY_LEN(ids); i++)
		if (json_is_integer(json_object_get(s->config, ids[i])))
			json_object_set(s->generation_config, ids[i], json_object_get(s->config, ids[i]));
}

/* --- making --- */

static int read_real(const struct model *m, const char *key, double init, double *out, struct err *e)
{
	return jsonx_real(m->source.config, key, init, out, e) < 0 ? err_prefix(e, "%s", m->source.path) : 0;
}

static int take_options(struct model *m, struct init *i, const struct init_options *o, struct err *e)
{
	long long pad;

	*i = (struct init){ .seed = o->seed, .parts = o->parts,
		            .width = o->base_width > 0 ? (double)m->config.C / o->base_width : 1 };
	if (read_real(m, "initializer_range", usual_range, &i->range, e) < 0 ||
	    read_real(m, "initializer_cutoff_factor", usual_cutoff, &i->cutoff, e) < 0 ||
	    jsonx_int(m->source.config, "pad_token_id", -1, &pad, e) < 0)
		return -1;
	if (o->range > 0)
		i->range = o->range;
	if (!(i->range > 0) || isinf(i->range) || !(i->cutoff >= 0.1))
		return err_set(e, "%s: initializer_range is %g and initializer_cutoff_factor %g, wanted numbers above "
		                  "0 and from 0.1", m->source.path, i->range, i->cutoff);
	i->pad = m->tokenizer && tokenizer_pad(m->tokenizer) >= 0 ? tokenizer_pad(m->tokenizer) :
	         pad >= 0 && pad < m->config.V                    ? (int)pad : -1;
	m->init = i;
	return 0;
}

static void hash_of(struct model *m)
{
	char *config = jsonx_line(m->source.config);
	struct hash_stream *h = hash_begin();

	hash_add(h, config, strlen(config));
	hash_add(h, &m->init->seed, sizeof(m->init->seed));
	hash_add(h, &m->init->width, sizeof(m->init->width));
	hash_end(h, m->source.made_of);
	mem_free(config);
}

static int take_memory(struct model *m, struct weight *w, struct err *e)
{
	w->dtype = DTYPE_F32;
	w->bytes = weight_numbers(w) * sizeof(float);
	w->owned = true;
	if (w->n_dims < 2)
		w->data = arena_alloc64(&m->mem, w->bytes);
	else if (mem_map(&w->copy, w->bytes, w->name, e) < 0)
		return -1;
	else
		w->data = w->copy;
	return 0;
}

static int begin(struct model *m, struct pool *p, bool later, struct err *e)
{
	float **out = mem_array(m->n_weights + 1, sizeof(*out));
	int status = 0;

	for (size_t i = 0; i < m->n_weights && later; i++) {
		m->weights[i].dtype = DTYPE_F32;
		m->weights[i].bytes = weight_numbers(&m->weights[i]) * sizeof(float);
	}
	for (size_t i = 0; i < m->n_weights && !later && status == 0; i++) {
		status = take_memory(m, &m->weights[i], e);
		out[i] = (float *)(uintptr_t)m->weights[i].data;
	}
	if (status == 0)
		status = model_begin_weights(m, out, p, e);
	mem_free(out);
	return status;
}

/* Facts and the list of weights. */
static int make(struct model *m, const struct init_options *o, struct err *e)
{
	if (m->tokenizer)
		json_object_set_new(m->source.config, "vocab_size",
		                    json_integer((json_int_t)tokenizer_size(m->tokenizer)));
	if (model_read_facts(m, m->source.path, e) < 0 ||
	    take_options(m, arena_alloc(&m->mem, sizeof(struct init)), o, e) < 0 || complete(m, o, e) < 0)
		return -1;
	if (m->tokenizer && tokenizer_bound(m->tokenizer, (size_t)m->config.V, m->source.path, e) < 0)
		return -1;
	hash_of(m);
	make_generation_config(&m->source);
	return weights_list(m, e);
}

static int new_model(struct model *m, const json_t *config, struct tokenizer *t, const struct init_options *o,
                     struct pool *p, struct err *e)
{
	*m = (struct model){ .tokenizer = t };
	m->source.path = arena_strdup(&m->source.mem, o->name ? o->name : "a new model");
	m->source.config = json_deep_copy(config);
	if (make(m, o, e) == 0 && (!p || begin(m, p, o->later, e) == 0))
		return 0;
	model_close(m);
	return -1;
}

int model_new(struct model *m, const json_t *config, struct tokenizer *t, const struct init_options *o,
              struct pool *p, struct err *e)
{
	return new_model(m, config, t, o, p, e);
}

int model_new_facts(struct model *m, const json_t *config, const struct init_options *o, struct err *e)
{
	return new_model(m, config, NULL, o, NULL, e);
}
