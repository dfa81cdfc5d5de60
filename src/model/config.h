/* config: how a model's facts are read, by table, so that every architecture says them once for both kinds of file and
 * every one of them refuses in the same words.
 *
 * A row is one fact: its key and its default in Hugging Face's config.json and in GGUF's metadata, and where it goes:
 * struct config, or the architecture's own struct. A default is a number, true or false, or an expression of the
 * letters of rows above it ("H", "C/H", "4C"); where it is NULL the key is required. A row without a key for a kind of
 * file has its default there, and without a default is left to arch->config. A key that is null counts as absent.
 *
 * An architecture lists tables; a row of a later one stands in the place of the earlier row of the same key, so that a
 * cousin names only what it has otherwise.
 *
 *     static const struct config_field own[] = {
 *     	CONFIG_INT('E', "num_experts", NULL, "expert_count", NULL, struct mine, experts),
 *     	CONFIG_INT('P', "max_position_embeddings", "32768", "context_length", NULL, struct config, n_ctx),
 *     	CONFIG_IS("use_sliding_window", "false", NULL, NULL),
 *     	{ 0 },
 *     };
 *
 * A key that no row has is judged by the tables of config_known.h, and one that is not there either by the rule of
 * format/settings.h: so no setting is ignored in silence.
 *
 * The same rows write the config.json of a model that came from GGUF. Source of the keys: transformers'
 * configuration_*.py, gguf-py's constants.py. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "model/model.h"

enum { CONFIG_MAX = 1 << 24, CONFIG_LAYERS_MAX = 4096 };

enum config_kind {
	CONFIG_KIND_INT = 1,   /* int, from 1 to CONFIG_MAX */
	CONFIG_KIND_REAL,      /* double, above 0 and finite */
	CONFIG_KIND_FLAG,      /* bool; the key in GGUF is the name of a tensor: whether the file has it */
	CONFIG_KIND_IS,        /* no place: refused unless it is one of the words of the default */
	CONFIG_KIND_LAYERS,    /* uint8_t[CONFIG_LAYERS_MAX]: a list says a word of the default for each layer, its
	                        * number there is kept; without a list every `every`-th layer is word 0, the others 1 */
	CONFIG_KIND_THESE,     /* the same of a list of layers' numbers: 1 for those, and for all but each `every`-th */
	CONFIG_KIND_EACH,      /* the same of each item of a list; not written */
	CONFIG_KIND_ALSO,      /* another name of the key that hf_init is, read before it; not written */
	CONFIG_KIND_HARMLESS,  /* changes no number, hf_init or gguf_init says why; not written */
};

struct config_field {
	enum config_kind kind;
	char letter;                    /* what shapes and defaults call it (a flag is 0 or 1 there); 0: nothing */
	const char *hf, *hf_init;       /* key of config.json */
	const char *gguf, *gguf_init;   /* key after "<architecture>." */
	const char *every;              /* of layers: an expression */
	bool maybe;                     /* null, and 0 in GGUF, is a value: none, which is 0 */
	bool zero;                      /* 0 in config.json is a value too */
	bool own;                       /* of the architecture's own struct, else of struct config */
	bool unsaid;                    /* of training, or of a head that GGUF's files are without: not compared */
	size_t at;
};

/* hf, hf_init, gguf, gguf_init; s is struct config or the architecture's own. */
#define CONFIG_FIELD(k, c, h, hi, g, gi, s, m) \
	{ .kind = k, .letter = c, .hf = h, .hf_init = hi, .gguf = g, .gguf_init = gi, \
	  .own = _Generic((s *)0, struct config *: false, default: true), .at = offsetof(s, m) }
#define CONFIG_INT(c, h, hi, g, gi, s, m) CONFIG_FIELD(CONFIG_KIND_INT, c, h, hi, g, gi, s, m)
#define CONFIG_REAL(h, hi, g, gi, s, m) CONFIG_FIELD(CONFIG_KIND_REAL, 0, h, hi, g, gi, s, m)
#define CONFIG_FLAG(c, h, hi, g, gi, s, m) CONFIG_FIELD(CONFIG_KIND_FLAG, c, h, hi, g, gi, s, m)
/* What a model may be without. */
#define CONFIG_INT_OR_NONE(c, h, hi, g, gi, s, m) \
	{ .kind = CONFIG_KIND_INT, .letter = c, .hf = h, .hf_init = hi, .gguf = g, .gguf_init = gi, .maybe = true, \
	  .own = _Generic((s *)0, struct config *: false, default: true), .at = offsetof(s, m) }
#define CONFIG_REAL_OR_NONE(h, hi, g, gi, s, m) \
	{ .kind = CONFIG_KIND_REAL, .hf = h, .hf_init = hi, .gguf = g, .gguf_init = gi, .maybe = true, \
	  .own = _Generic((s *)0, struct config *: false, default: true), .at = offsetof(s, m) }
#define CONFIG_LAYERS(h, words, n, s, m) \
	{ .kind = CONFIG_KIND_LAYERS, .hf = h, .hf_init = words, .every = n, .own = true, .at = offsetof(s, m) }
#define CONFIG_THESE(h, n, s, m) \
	{ .kind = CONFIG_KIND_THESE, .hf = h, .every = n, .own = true, .at = offsetof(s, m) }
/* What is computed in one way only. Words apart by spaces, the first is meant when the key is absent; a word is
 * compared with a string, true or false, or with a number as a number or an expression of letters. */
#define CONFIG_IS(h, words, g, gwords) \
	{ .kind = CONFIG_KIND_IS, .hf = h, .hf_init = words, .gguf = g, .gguf_init = gwords }
#define CONFIG_EACH(h, words) { .kind = CONFIG_KIND_EACH, .hf = h, .hf_init = words }
/* transformers' attribute_map: a config.json may call `key` so too, and its value is taken where both are there. */
#define CONFIG_ALSO(h, key) { .kind = CONFIG_KIND_ALSO, .hf = h, .hf_init = key }
#define CONFIG_HARMLESS(h, g, why) \
	{ .kind = CONFIG_KIND_HARMLESS, .hf = h, .hf_init = why, .gguf = g, .gguf_init = why }

/* One open file's facts. */
struct config_source {
	const json_t *json;         /* config.json, or NULL */
	const struct gguf *gguf;    /* or NULL */
	const char *where;          /* its path, for sentences */
};

/* Fills c, whose arch and own are set, by the architecture's tables and arch->config, and checks what every model must
 * satisfy. */
int config_read(struct config *c, const struct config_source *s, struct err *e);
/* Sums of products of letters and numbers, "HD+2GD"; −1 when a letter is unknown. Y, c's labels, is everyone's. Too
 * large for an int64:
 * INT64_MAX. */
int64_t config_value(const struct config *c, const char *expression, size_t n);
/* config.json for a model that came from GGUF, without ids of tokens and dtype; new reference, NULL and a sentence
 * where a config.json has no word for what the GGUF says. */
json_t *config_json(const struct config *c, struct err *e);

struct gguf_meta;
/* A model's facts as the GGUF metadata that config_read finds them in; c->arch has a name in GGUF.
 * What GGUF has no word for is left out: config_check_alike says whether that was anything. */
void config_put_gguf(struct gguf_meta *meta, const struct config *c);
/* Are two configs of one architecture the same model? The sentence names the first fact of `read` that is not as
 * `wanted` has it. */
int config_check_alike(const struct config *wanted, const struct config *read, const char *where, struct err *e);

/* The shortest decimal that is the same f32. */
double config_shortest(double x);

/* For arch->config: one key as the rows read it. */
int config_real(const json_t *j, const char *key, double init, double *out, const char *where, struct err *e);
int config_is(const struct config *c, const json_t *j, const char *key, const char *words, const char *where,
              struct err *e);

#endif
