/* watermark: whether texts carry the mark of a key (infer/watermark.h): how many of their tokens are green, and how far
 * that is from chance. Of a model only its tokenizer and the size of its vocabulary are read.
 *
 * FILE is one text, or rows (.jsonl, .json, .csv, .tsv) with a column `text`. */
#include <math.h>
#include <string.h>

#include "base/io.h"
#include "base/jsonx.h"
#include "base/mem.h"
#include "cmd/command.h"
#include "cmd/text_rows.h"
#include "infer/watermark.h"
#include "model/model.h"
#include "token/tokenizer.h"

extern const struct command cmd_watermark;

struct seek {
	struct common common;
	struct watermark mark;
	double threshold;
	bool count_repeated;
};

static const struct opt watermark_opts[] = {
	WATERMARK_KEY_OPTS(struct seek, mark),
	OPT_FLOAT("z-threshold", struct seek, threshold, "4", 0, 1000,
	          "from which z on a text is said to be marked; 4: 1 of 31,000 others"),
	OPT_FLAG("count-repeated-ngrams", struct seek, count_repeated, "false",
	         "pairs of tokens that are there twice count twice"),
	COMMON_OPTS(struct seek, common),
	OPT_END
};

struct seeking {
	const struct app *app;
	const struct seek *o;
	struct model model;
	size_t texts, marked;
};

static void tell(struct seeking *s, const char *where, const struct watermark_found *f)
{
	bool marked = f->z > s->o->threshold;

	s->texts++;
	s->marked += marked;
	if (s->app->json) {
		json_t *j = json_pack("{s:o, s:b, s:I, s:I, s:o, s:o, s:o}", "text", jsonx_path(where), "prediction",
		                      marked, "num_tokens_scored", (json_int_t)f->scored, "num_green_tokens",
		                      (json_int_t)f->green, "green_fraction",
		                      jsonx_number((double)f->green / (double)f->scored), "z_score",
		                      jsonx_number(f->z), "p_value", jsonx_number(f->p));
		app_json(j);
		json_decref(j);
	} else if (f->scored) {
		app_print("%s: %s: %zu of %zu tokens are green (%.1f %%, %.1f %% by chance), z %.2f, p %.2g\n", where,
		          marked ? "watermarked" : "no watermark", f->green, f->scored,
		          100 * (double)f->green / (double)f->scored, 100 * s->o->mark.greenlist_ratio, f->z, f->p);
	} else {
		app_print("%s: too short to say\n", where);
	}
}

static int look(struct seeking *s, const char *where, const char *text, size_t n, struct err *e)
{
	struct tokens ids = { 0 };
	int status = tokenizer_encode(s->model.tokenizer, text, n, 0, &ids, e);

	if (status == 0) {
		struct watermark_found f = watermark_detect(&s->o->mark, ids.id, ids.n, (size_t)s->model.config.V,
		                                            !s->o->count_repeated);
		tell(s, where, &f);
	}
	tokens_release(&ids);
	return status < 0 ? err_prefix(e, "%.200s", where) : 0;
}

static int look_at_rows(struct seeking *s, const char *path, struct err *e)
{
	struct rows rows = { 0 };
	int status = rows_load_objects(&rows, path, e);

	for (size_t i = 0; i < rows.n && status == 0; i++) {
		const json_t *text = json_object_get(rows.items[i].json, "text");
		char *where = mem_printf("%s:%zu", rows.items[i].file, rows.items[i].line);
		status = json_is_string(text) ?
		                 look(s, where, json_string_value(text), json_string_length(text), e) :
		                 err_set(e, "%s: no column text that is one", where);
		mem_free(where);
	}
	rows_release(&rows);
	return status;
}

static int look_at_file(struct seeking *s, const char *path, struct err *e)
{
	struct buf text = BUF_INIT;
	int status = io_read(&text, path, e);

	if (status == 0)
		status = look(s, strcmp(path, "-") ? path : "standard input", buf_str(&text), text.len, e);
	buf_release(&text);
	return status;
}

static int run(struct app *app, void *options, struct opt_parse *p, struct err *e)
{
	struct seeking s = { .app = app, .o = options };
	const char *path = p->positional[1];

	if (s.o->mark.hashing_key == OPT_UNSET_INT)
		return app_usage(&cmd_watermark, "--watermark-hashing-key N was wanted: the mark is that of a key");
	int status = model_open(&s.model, p->positional[0], e);
	if (status == 0) {
		status = model_tokenizer(&s.model, e);
		if (status == 0)
			status = text_rows_are_rows(path) ? look_at_rows(&s, path, e) : look_at_file(&s, path, e);
		model_close(&s.model);
	}
	if (status == 0)
		app_summary(app, json_pack("{s:I, s:I}", "texts", (json_int_t)s.texts, "watermarked",
		                           (json_int_t)s.marked));
	return status;
}

const struct command cmd_watermark = {
	.name = "watermark",
	.summary = "whether texts carry the mark of a key",
	.usage = "MODEL FILE|- --watermark-hashing-key N [options]",
	.example = "kungfu watermark model.gguf a.txt --watermark-hashing-key 7",
	.brief = "find a watermark",
	.order = 34,
	.looks = true,
	.opts = watermark_opts,
	.options_size = sizeof(struct seek),
	.least = 2,
	.most = 2,
	.wanted = "a model, and a file or - for standard input were wanted",
	.run = run,
};
