/* embed_settings: how a model's own files want texts embedded.
 *
 * A folder of sentence-transformers says it in modules.json (a Transformer, a Pooling, perhaps a Normalize), in
 * sentence_bert_config.json (max_seq_length, do_lower_case) and in config_sentence_transformers.json (prompts by name);
 * the tokenizer's model_max_length is a limit where the second says none. A GGUF says pooling_type. Where nothing is
 * said, an encoder's states are averaged and a decoder's last is taken.
 *
 * What is not computed (Dense and other modules, pooling by weights, several poolings side by side) is refused by its
 * name. */
#ifndef INFER_EMBED_SETTINGS_H
#define INFER_EMBED_SETTINGS_H

#include "infer/embed.h"

struct embed_settings {
	enum pooling pooling;
	bool said;                 /* the model's files say the pooling */
	bool normalize;
	bool lower_case;           /* texts are lowered before they are tokenized */
	bool with_prompt;          /* a prompt's states are pooled as the text's are */
	int32_t max_length;        /* tokens, from 1 to the model's positions */
	json_t *prompts;           /* {name: text}, or NULL */
	const char *prompt_name;   /* the one that is used unless another is named, or NULL; of the object below */
	json_t *config;
};

int embed_settings_read(struct embed_settings *s, const struct model *m, struct err *e);
/* The text of a prompt, of the one that is used by itself (name NULL: "" where there is none), NULL and a sentence. */
const char *embed_settings_prompt(const struct embed_settings *s, const char *name, struct err *e);
/* What is tokenized: the prompt and the text, appended, in lower case where that is wanted. */
void embed_settings_text(const struct embed_settings *s, const char *prompt, const char *text, size_t n,
                         struct buf *out);
struct gguf_meta;
/* The pooling of an encoder that came from a folder, as key of the GGUF that it becomes; nothing of others. */
void embed_settings_put_gguf(const struct model *m, struct gguf_meta *meta);
void embed_settings_release(struct embed_settings *s);

#endif
