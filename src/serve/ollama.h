/* ollama: what the files of Ollama's calls share. */
#ifndef SERVE_OLLAMA_H
#define SERVE_OLLAMA_H

#include "serve/openai_parts.h"

/* The model that a request names, as it is called here: NAME:latest is NAME. New. */
json_t *ollama_name(struct openai *s, const json_t *sent);
json_t *ollama_time(double seconds); /* since 1970, as Ollama writes it; new */

#endif
