/* config: how architectures read a model's facts, so that every one of them refuses in the same words. */
#ifndef MODEL_CONFIG_H
#define MODEL_CONFIG_H

#include "model/model.h"

/* config.json. An int is from 1 to CONFIG_MAX; init 0 or NAN: required. */
enum { CONFIG_MAX = 1 << 24, CONFIG_LAYERS_MAX = 4096 };
int config_int(const json_t *j, const char *key, int init, int *out, const char *where, struct err *e);
int config_real(const json_t *j, const char *key, double init, double *out, const char *where, struct err *e);
int config_flag(const json_t *j, const char *key, bool init, bool *out, const char *where, struct err *e);
/* Refuses another value than these: an absent key or null means the first. */
int config_word(const json_t *j, const char *key, const char *const *allowed, const char *where, struct err *e);

/* GGUF's "<architecture>.<key>", required when init is 0 or NAN. Reals come back as the shortest decimal that is the
 * same f32. */
int config_gguf_int(const struct gguf *g, const char *key, int init, int *out, struct err *e);
int config_gguf_real(const struct gguf *g, const char *key, double init, double *out, struct err *e);

/* What every model must satisfy. */
int config_check(const struct config *c, const char *where, struct err *e);

#endif
