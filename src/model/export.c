/* export: a folder in three steps: what describes the model, the tokenizer, the weights.
 *
 * Weights go out one by one: a piece of 64 KiB is rounded to the dtype, and, for GPT-2's Conv1D, transposed back to
 * [in][out] while it is rounded. Nothing as large as the model exists in memory; one weight as f32 may. A tied head is
 * not written: transformers ties it again. */
#include "model/export.h"

#include <string.h>

#include "base/folder.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "base/stop.h"
#include "base/text.h"
#include "model/classifier.h"
#include "model/config.h"
#include "model/fused.h"
#include "model/weights.h"
#include "token/gguf_known.h"
#include "token/tokenizer.h"

enum { PIECE = 16384 }; /* numbers */

const struct export_wish export_wishes[EXPORT_WISHES] = {
	{ "temperature", "general.sampling.temp", false, true },
	{ "top_k", "general.sampling.top_k", true, true },
	{ "top_p", "general.sampling.top_p", false, true },
	{ "min_p", "general.sampling.min_p", false, true },
	{ "repetition_penalty", "general.sampling.penalty_repeat", false, false },
};

/* What transformers may look for beside the weights. */
static const char *const tokenizer_files[] = {
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",  "vocab.json",
	"merges.txt",     "tokenizer.model",       "chat_template.jinja",     "chat_template.json",
};

/* --- config --- */

static const char *dtype_word(enum dtype t)
{
	return t == DTYPE_F32 ? "float32" : t == DTYPE_F16 ? "float16" : "bfloat16";
}

static void set_id(json_t *j, const char *key, int32_t id)
{
	if (id >= 0)
		json_object_set_new(j, key, json_integer(id));
}

static void set_ids(json_t *j, const struct tokenizer *t)
{
	set_id(j, "bos_token_id", tokenizer_bos(t));
	set_id(j, "eos_token_id", tokenizer_eos(t));
	set_id(j, "pad_token_id", tokenizer_pad(t));
}

/* All tokens with which a GGUF's answers end, its eos first. */
static void set_ends(json_t *j, const struct model *m)
{
	int32_t eos = tokenizer_eos(m->tokenizer);
	struct tokens ends = { 0 };
	json_t *list = json_array();

	gguf_ends(&m->source.gguf, &ends);
	if (eos >= 0)
		json_array_append_new(list, json_integer(eos));
	for (size_t i = 0; i < ends.n; i++)
		if (ends.id[i] != eos)
			json_array_append_new(list, json_integer(ends.id[i]));
	if (json_array_size(list) > 1)
		json_object_set(j, "eos_token_id", list);
	json_decref(list);
	tokens_release(&ends);
}

/* What general.sampling says, by transformers' names; with any of them answers are drawn. */
static void set_sampling(json_t *j, const struct gguf *g)
{
	struct err ignored = ERR_INIT; /* a value of another type is none */

	for (size_t i = 0; i < ARRAY_LEN(export_wishes); i++) {
		const struct gguf_kv *kv = gguf_find(g, export_wishes[i].gguf);
		int64_t whole = 0;
		double real = 0;
		if (!kv || (export_wishes[i].whole ? gguf_int(g, kv->key, true, 0, &whole, &ignored) :
		                                     gguf_real(g, kv->key, true, 0, &real, &ignored)) < 0)
			continue;
		json_object_set_new(j, export_wishes[i].json,
		                    export_wishes[i].whole ? json_integer(whole) : json_real(config_shortest(real)));
		if (export_wishes[i].draws)
			json_object_set_new(j, "do_sample", json_true());
	}
}

static void set_labels(json_t *config, const struct model *m)
{
	char *name = classifier_class(m);
	json_t *labels = labels_json(m->labels);

	json_object_set_new(config, "architectures", json_pack("[s]", name));
	json_object_update(config, labels);
	json_decref(labels);
	mem_free(name);
}

/* New tokens made the tables larger. */
static void set_vocabulary(json_t *config, const struct model *m)
{
	json_t *text = json_object_get(config, "text_config");

	json_object_set_new(config, "vocab_size", json_integer(m->config.V));
	if (json_object_get(text, "vocab_size"))
		json_object_set_new(text, "vocab_size", json_integer(m->config.V));
}

static json_t *make_config(const struct model *m, enum dtype dtype, bool untied, struct err *e)
{
	json_t *j;
	if (m->source.is_gguf && !m->tokenizer)
		BUG("a GGUF is written as a folder before its tokenizer is open");
	if (m->source.is_gguf) {
		j = config_json(&m->config, e);
		if (!j) {
			err_prefix(e, "%s", m->source.path);
			return NULL;
		}
		set_ids(j, m->tokenizer);
	} else {
		j = json_deep_copy(m->source.config);
	}
	if (m->n_new)
		set_vocabulary(j, m);
	json_object_del(j, "quantization_config"); /* what is written is plain */
	json_object_set_new(j, "dtype", json_string(dtype_word(dtype)));
	if (untied || (!m->labels && !m->config.tied && json_is_true(json_object_get(j, "tie_word_embeddings"))))
		json_object_set_new(j, "tie_word_embeddings", json_false());
	if (m->labels && classifier_made(m))
		set_labels(j, m);
	if (json_object_get(j, "torch_dtype")) /* its name before transformers 4.56 */
		json_object_set_new(j, "torch_dtype", json_string(dtype_word(dtype)));
	return j;
}

static int write_json(const char *dir, const char *name, json_t *j, struct err *e)
{
	char *path = io_join(dir, name);
	int status = jsonx_write_file(path, j, e);
	mem_free(path);
	json_decref(j);
	return status;
}

static int write_configs(const struct model *m, const char *dir, enum dtype dtype, bool untied, struct err *e)
{
	json_t *config = make_config(m, dtype, untied, e);

	if (!config || write_json(dir, "config.json", config, e) < 0)
		return -1;
	if (m->source.generation_config)
		return write_json(dir, "generation_config.json", json_incref(m->source.generation_config), e);
	if (!m->source.is_gguf)
		return 0;
	/* what transformers derives from the config when it reads the GGUF itself */
	json_t *j = json_pack("{s:b, s:b, s:b, s:b}", "_from_model_config", 1, "use_cache", 1, "output_attentions", 0,
	                      "output_hidden_states", 0);
	set_ids(j, m->tokenizer);
	set_ends(j, m);
	set_sampling(j, &m->source.gguf);
	return write_json(dir, "generation_config.json", j, e);
}

/* --- tokenizer --- */

static int copy_file(const char *from, const char *to, struct err *e)
{
	struct mapping map;
	if (io_map(&map, from, e) < 0)
		return -1;
	int status = io_write(to, map.data, map.size, e);
	io_unmap(&map);
	return status;
}

/* additional_chat_templates, where there are some. */
static int copy_templates(const struct model *m, const char *dir, struct err *e)
{
	char *from = io_join(m->source.path, TEMPLATE_FOLDER), *to = io_join(dir, TEMPLATE_FOLDER), **names = NULL;
	size_t n = 0;
	int status = 0;

	if (io_is_dir(from))
		status = io_list(from, &names, &n, e) < 0 || io_mkdirs(to, e) < 0 ? -1 : 0;
	for (size_t i = 0; i < n && status == 0; i++) {
		char *old = io_join(from, names[i]), *new = io_join(to, names[i]);
		if (names[i][0] != '.')
			status = copy_file(old, new, e);
		mem_free(old);
		mem_free(new);
	}
	if (names)
		io_list_free(names, n);
	mem_free(from);
	mem_free(to);
	return status;
}

static int write_tokenizer(const struct model *m, const char *dir, struct err *e)
{
	int status = 0;
	if (m->init)
		return m->tokenizer ? tokenizer_save(m->tokenizer, dir, e) : 0;
	if (m->source.is_gguf)
		return tokenizer_save(m->tokenizer, dir, e);
	if (m->n_new)
		return tokenizer_save(m->tokenizer, dir, e) < 0 ? -1 : copy_templates(m, dir, e);
	for (size_t i = 0; i < ARRAY_LEN(tokenizer_files) && status == 0; i++) {
		char *from = io_join(m->source.path, tokenizer_files[i]), *to = io_join(dir, tokenizer_files[i]);
		if (io_exists(from))
			status = copy_file(from, to, e);
		mem_free(from);
		mem_free(to);
	}
	return status == 0 ? copy_templates(m, dir, e) : status;
}

/* --- weights --- */

static bool is_transposed(const struct weight *w) { return w->n_dims == 2 && (w->spec->flags & WEIGHT_TRANSPOSED); }

static void describe(struct st_tensor *t, const struct weight *w, enum dtype dtype)
{
	bool turn = is_transposed(w);
	*t = (struct st_tensor){
		.name = w->name, .dtype = dtype, .n_dims = w->n_dims, .bytes = weight_numbers(w) * dtypes[dtype].bytes
	};
	for (int i = 0; i < w->n_dims; i++)
		t->dim[i] = w->dim[turn ? 1 - i : i];
	if (w->spec->flags & WEIGHT_ROW) {
		t->n_dims = 3;
		t->dim[2] = t->dim[0];
		t->dim[0] = t->dim[1] = 1;
	}
}

/* Numbers first … first+n of the file's tensor, from [out][in]. */
static void take_piece(float *piece, const struct weight *w, const float *x, size_t first, size_t n)
{
	for (size_t k = 0; k < n; k++) {
		size_t in = (first + k) / w->dim[0], out = (first + k) % w->dim[0];
		piece[k] = x[out * w->dim[1] + in];
	}
}

/* What is being written, and whether a wish to stop ends it. */
struct output { struct io_writer io; bool stops; };

static int look(const struct output *o, struct err *e)
{
	return o->stops ? stop_look(e, "the weights were written") : 0;
}

static int write_weight(struct output *o, const struct weight *w, enum dtype dtype, const float *x, struct err *e)
{
	float piece[PIECE], rounded[PIECE];
	size_t n = weight_numbers(w);
	for (size_t first = 0; first < n; first += PIECE) {
		size_t count = MIN((size_t)PIECE, n - first);
		const float *from = x + first;
		if (look(o, e) < 0)
			return -1;
		if (is_transposed(w)) {
			take_piece(piece, w, x, first, count);
			from = piece;
		}
		dtypes[dtype].from_float(from, rounded, count);
		if (io_writer_add(&o->io, rounded, count * dtypes[dtype].bytes, e) < 0)
			return -1;
	}
	return 0;
}

struct rounding { struct output *o; enum dtype dtype; };

static int put_rounded(void *to, const float *x, size_t n, struct err *e)
{
	const struct rounding *r = to;
	float rounded[PIECE];

	if (look(r->o, e) < 0)
		return -1;
	if (r->dtype == DTYPE_F32)
		return io_writer_add(&r->o->io, x, n * sizeof(*x), e);
	dtypes[r->dtype].from_float(x, rounded, n);
	return io_writer_add(&r->o->io, rounded, n * dtypes[r->dtype].bytes, e);
}

/* Weight i, or the tensor that it is the first of, or nothing where it is another of such. */
static int write_one(struct output *o, const struct model *m, size_t i, enum dtype dtype,
                     const struct export_weights *get, float *scratch, struct err *e)
{
	struct rounding r = { o, dtype };
	bool first;

	if (!fused_is_written(m, i, &first)) {
		const float *x = get->get(get->ctx, (int)i, scratch);
		return x ? write_weight(o, &m->weights[i], dtype, x, e) : -1;
	}
	return first ? fused_each(m, i, get->get, get->ctx, scratch, put_rounded, &r, e) : 0;
}

static int write_all(struct output *o, const struct model *m, enum dtype dtype, const struct export_weights *get,
                     struct err *e)
{
	void *scratch;
	int status = 0;
	if (mem_map(&scratch, export_scratch(m), "a weight to be written", e) < 0)
		return -1;
	for (size_t i = 0; i < m->n_weights && status == 0; i++)
		status = write_one(o, m, i, dtype, get, scratch, e);
	if (status == 0 && get->head) {
		struct weight head = model_tied_head(m);
		status = write_weight(o, &head, dtype, get->head(get->ctx, scratch), e);
	}
	mem_unmap(scratch, export_scratch(m));
	return status;
}

static int write_weights(const struct model *m, const char *dir, enum dtype dtype, const struct export_weights *get,
                         bool stops, struct err *e)
{
	static const struct st_meta meta = { "format", "pt" };
	struct st_tensor *t = mem_array(m->n_weights + 1, sizeof(*t));
	char *path = io_join(dir, "model.safetensors");
	struct weight head;
	struct arena mem = ARENA_INIT;
	struct output o = { .stops = stops };
	size_t n = 0;
	for (size_t i = 0; i < m->n_weights; i++) {
		bool first;
		if (!fused_is_written(m, i, &first))
			describe(&t[n++], &m->weights[i], dtype);
		else if (first)
			fused_describe(&mem, &t[n++], m, i, dtype);
	}
	if (get->head) { /* the tied model with a head of its own has one matrix more, of the embedding's shape */
		head = model_tied_head(m);
		describe(&t[n++], &head, dtype);
	}
	int status = st_writer_open(&o.io, path, t, n, &meta, 1, e);
	if (status == 0) {
		status = write_all(&o, m, dtype, get, e);
		if (status == 0)
			status = look(&o, e);
		status = io_writer_end(&o.io, status, e);
	}
	arena_release(&mem);
	mem_free(path);
	mem_free(t);
	return status;
}

/* --- what callers see --- */

size_t export_bytes(const struct model *m, enum dtype dtype)
{
	size_t bytes = 0;
	for (size_t i = 0; i < m->n_weights; i++)
		bytes += weight_numbers(&m->weights[i]) * dtypes[dtype].bytes;
	return bytes;
}

size_t export_scratch(const struct model *m)
{
	return weight_numbers_most(m) * fused_parts_most(m) * sizeof(float);
}

const float *export_own(void *ctx, int i, float *scratch)
{
	model_weight_float(ctx, i, scratch);
	return scratch;
}

const float *export_from_params(void *ctx, int i, float *scratch)
{
	const struct export_trained *t = ctx;
	const struct weight *w = &t->model->weights[i];
	if (t->param[i] < 0)
		return export_own((void *)t->model, i, scratch);
	const float *x = t->params->w + t->params->items[t->param[i]].offset;
	if (!weight_is_converted(t->model, i)) /* a copy would be more memory than was planned */
		return x;
	memcpy(scratch, x, weight_numbers(w) * sizeof(*x));
	weight_convert(t->model, i, scratch, true);
	return scratch;
}

static int check_space(const struct model *m, const char *dir, enum dtype dtype, const struct export_weights *w,
                       struct err *e)
{
	size_t need = export_bytes(m, dtype);
	if (w->head)
		need += weight_numbers(&m->weights[model_head(m)]) * dtypes[dtype].bytes;
	return io_need_space(dir, need, "the model", e);
}

int export_possible(const struct model *m, struct err *e)
{
	if (m->config.arch->hf_types[0])
		return 0;
	return err_set(e, "transformers has no %s: it cannot be written as a folder", m->config.arch->name);
}

static int write_model(const struct model *m, const char *dir, enum dtype dtype, const struct export_weights *w,
                       bool stops, struct err *e)
{
	if (export_possible(m, e) < 0)
		return -1;
	if (dtype != DTYPE_F32 && dtype != DTYPE_F16 && dtype != DTYPE_BF16)
		return err_set(e, "a model is written as f32, f16 or bf16, not as %s", dtypes[dtype].name);
	bool untied = w->head != NULL;
	if (untied && !m->config.tied)
		BUG("a second head for a model that has one of its own");
	if (io_mkdirs(dir, e) < 0 || write_configs(m, dir, dtype, untied, e) < 0 ||
	    write_tokenizer(m, dir, e) < 0)
		return -1;
	return write_weights(m, dir, dtype, w, stops, e);
}

int export_model(const struct model *m, const char *dir, enum dtype dtype, const struct export_weights *w,
                 struct err *e)
{
	return check_space(m, dir, dtype, w, e) < 0 ? -1 : write_model(m, dir, dtype, w, false, e);
}

int export_folder(const struct model *m, const char *dir, enum dtype dtype, const struct export_weights *w,
                  struct err *e)
{
	struct folder f;
	bool empty;

	if (io_dir_is_empty(dir, &empty, e) < 0)
		return -1;
	if (!empty)
		return err_set(e, "%s: not an empty folder", dir);
	if (check_space(m, dir, dtype, w, e) < 0 || folder_begin(&f, dir, e) < 0)
		return -1;
	if (write_model(m, f.beside, dtype, w, true, e) == 0)
		return folder_place(&f, e);
	folder_abort(&f);
	return -1;
}
