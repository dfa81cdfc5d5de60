/* own_texts: drawn in waves of sequences of one session, beside each other. See own_texts.h. */
#include "infer/own_texts.h"

#include <string.h>

#include "base/env.h"
#include "base/io.h"
#include "base/jsonx.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stop.h"
#include "infer/session.h"
#include "model/prepare.h"
#include "op/kv_cache.h"
#include "token/tokenizer.h"

enum { SEED = 1, FORMAT = 1, WAVE = 32 /* sequences */ };

int32_t own_texts_length(const struct model *m) { return MIN((int32_t)OWN_TEXTS_LENGTH, m->config.n_ctx); }

static int32_t start_of(const struct model *m)
{
	int32_t bos = tokenizer_bos(m->tokenizer), eos = tokenizer_eos(m->tokenizer);

	return bos >= 0 ? bos : MAX(eos, 0);
}

/* --- what is kept --- */

static char *kept_path(const struct model *m, const char *hash)
{
	char *name = mem_printf("own-texts/%s-%s.json", hash, compute_name(m->compute)), *path = env_state_file(name);

	mem_free(name);
	return path;
}

static int read_text(const json_t *list, const struct model *m, int32_t length, int32_t *out)
{
	for (int32_t i = 0; i < length; i++) {
		const json_t *id = json_array_get(list, (size_t)i);
		if (!json_is_integer(id) || json_integer_value(id) < 0 || json_integer_value(id) >= m->config.V)
			return -1;
		out[i] = (int32_t)json_integer_value(id);
	}
	return json_array_size(list) == (size_t)length && out[0] == start_of(m) ? 0 : -1;
}

static int read_texts(struct own_texts *o, const json_t *j, const struct model *m, size_t most)
{
	const json_t *texts = json_object_get(j, "texts");

	if (json_integer_value(json_object_get(j, "format")) != FORMAT || !json_is_array(texts))
		return -1;
	size_t n = MIN(json_array_size(texts), most);
	for (o->n = 0; o->n < n; o->n++)
		if (read_text(json_array_get(texts, o->n), m, o->length, o->ids + o->n * (size_t)o->length) < 0)
			return -1;
	return 0;
}

/* Those that are kept, at most n; o->ids has room for so many. tell: of a file that is not as it should be. */
static void recall(struct own_texts *o, const struct model *m, const char *hash, size_t n, bool tell)
{
	struct err e = ERR_INIT;
	char *path = kept_path(m, hash);

	o->n = 0;
	if (path && io_exists(path)) {
		json_t *j = jsonx_load_file(path, &e);
		if (!j || read_texts(o, j, m, n) < 0) {
			if (tell)
				log_warn("%s: %s; the model's own texts are drawn again", path,
				         j ? "it holds other texts than this model's" : e.msg);
			o->n = 0;
		}
		json_decref(j);
	}
	mem_free(path);
}

static int write_texts(const char *path, const json_t *j, struct err *e)
{
	char *folder = io_parent(path), *line = jsonx_line(j);
	int status = io_mkdirs(folder, e) < 0 || io_write(path, line, strlen(line), e) < 0 ? -1 : 0;

	mem_free(folder);
	mem_free(line);
	return status;
}

/* Where they cannot be kept they are drawn once more another time. */
static void keep(const struct own_texts *o, const struct model *m, const char *hash)
{
	struct err why = ERR_INIT;
	char *path = kept_path(m, hash);
	json_t *texts = json_array(), *j = json_pack("{s:i, s:o}", "format", FORMAT, "texts", texts);

	for (size_t i = 0; i < o->n; i++) {
		json_t *text = json_array();
		for (int32_t k = 0; k < o->length; k++)
			json_array_append_new(text, json_integer(o->ids[i * (size_t)o->length + (size_t)k]));
		json_array_append_new(texts, text);
	}
	if (path && write_texts(path, j, &why) < 0)
		log_warn("the model's own texts are not kept: %s", why.msg);
	json_decref(j);
	mem_free(path);
}

/* --- drawing --- */

struct wave {
	struct session *session;
	struct sampler sampler;
	struct sampler_choice choice;
	struct session_part *parts;    /* [WAVE] */
};

static int open_wave(struct wave *w, struct model *m, struct device *d, size_t n, struct err *e)
{
	struct session_size size = { .n_ctx = own_texts_length(m), .n_sequences = (int)MIN(n, (size_t)WAVE),
		                     .cache = { DTYPE_F32, DTYPE_F32 } };

	*w = (struct wave){ 0 };
	if (session_new(&w->session, m, NULL, d, &size, e) < 0)
		return -1;
	w->parts = mem_array(WAVE, sizeof(*w->parts));
	sampler_choose(&w->choice);
	sampler_choice_set(&w->choice, "temperature", 1);
	w->sampler.steps = w->choice.steps;
	w->sampler.seed = SEED;
	sampler_init(&w->sampler, (size_t)m->config.V);
	return 0;
}

static void close_wave(struct wave *w)
{
	sampler_release(&w->sampler);
	sampler_choice_release(&w->choice);
	session_free(w->session);
	mem_free(w->parts);
}

/* The next token of n texts that have `have`; text `first` is sequence 0's. */
static int draw(struct wave *w, struct own_texts *o, size_t first, size_t n, int32_t have, struct err *e)
{
	size_t length = (size_t)o->length;

	for (size_t i = 0; i < n; i++)
		w->parts[i] = (struct session_part){ .sequence = (int)i, .n = 1, .wanted = true,
			                             .ids = o->ids + (first + i) * length + have - 1 };
	if (session_step(w->session, w->parts, (int)n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		w->sampler.stream = (uint32_t)(first + i);
		w->sampler.index = (uint64_t)have;
		o->ids[(first + i) * length + (size_t)have] = sampler_next(&w->sampler, w->parts[i].logits);
	}
	return 0;
}

static int draw_wave(struct wave *w, struct own_texts *o, const struct model *m, size_t n, bool (*interrupted)(void),
                     struct err *e)
{
	for (size_t i = 0; i < n; i++)
		o->ids[(o->n + i) * (size_t)o->length] = start_of(m);
	for (int32_t have = 1; have < o->length; have++) {
		if ((interrupted && interrupted()) || stop_asked())
			return err_set(e, "interrupted while the model's own texts were drawn");
		if (draw(w, o, o->n, n, have, e) < 0)
			return -1;
	}
	for (size_t i = 0; i < n; i++)
		session_drop(w->session, (int)i);
	o->n += n;
	return 0;
}

int own_texts_get(struct own_texts *o, struct model *m, const char *hash, struct device *d, size_t n,
                  bool (*interrupted)(void), struct err *e)
{
	struct wave w;
	int status = 0;

	*o = (struct own_texts){ .length = own_texts_length(m) };
	o->ids = mem_array(n * (size_t)o->length, sizeof(*o->ids));
	recall(o, m, hash, n, true);
	if (o->n == n)
		return 0;
	if (open_wave(&w, m, d, n - o->n, e) < 0) {
		own_texts_release(o);
		return -1;
	}
	while (o->n < n && !status)
		status = draw_wave(&w, o, m, MIN(n - o->n, (size_t)WAVE), interrupted, e);
	close_wave(&w);
	if (status)
		own_texts_release(o);
	else
		keep(o, m, hash);
	return status;
}

void own_texts_release(struct own_texts *o)
{
	mem_free(o->ids);
	*o = (struct own_texts){ 0 };
}

/* --- what it would take --- */

static int forecast(struct own_texts_forecast *f, struct session *s, size_t n, int32_t length, struct err *e)
{
	int some = (int)MIN(n, (size_t)WAVE);
	double steps = (double)((n + WAVE - 1) / WAVE) * (length - 1);
	size_t work, cache;

	if (session_time(s, some, 1, length / 2, &f->seconds, &f->work, e) < 0)
		return -1;
	f->seconds *= steps;
	f->work.flops *= steps;
	f->work.int_ops *= steps;
	session_bytes(s, &work, &cache);
	f->bytes = work + session_fill_bytes(s, some, 0, length);
	return 0;
}

int own_texts_forecast(struct own_texts_forecast *f, struct model *m, const char *hash, struct device *d, size_t n,
                       struct err *e)
{
	struct own_texts kept = { .length = own_texts_length(m) };
	struct wave w;

	*f = (struct own_texts_forecast){ 0 };
	kept.ids = mem_array(n * (size_t)kept.length, sizeof(*kept.ids));
	recall(&kept, m, hash, n, false);
	size_t lacking = n - kept.n;
	own_texts_release(&kept);
	if (!lacking)
		return 0;
	if (open_wave(&w, m, d, lacking, e) < 0)
		return -1;
	int status = forecast(f, w.session, lacking, own_texts_length(m), e);
	close_wave(&w);
	return status;
}
