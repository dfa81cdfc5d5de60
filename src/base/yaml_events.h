/* yaml_events: a YAML text as libyaml's events, one at a time, for what reads YAML here (recipes, spaces, tasks,
 * rules). What is wrong is said with its place: "where line 3: …". */
#ifndef BASE_YAML_EVENTS_H
#define BASE_YAML_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <yaml.h>

#include "base/err.h"

struct yaml_events {
	yaml_parser_t parser;
	yaml_event_t event;            /* the one that was read last, where `open` */
	bool open;
	const char *where;             /* borrowed, as e */
	struct err *e;
};

/* Of a text in UTF-8, borrowed until the events are closed. */
void yaml_events_open(struct yaml_events *y, const char *text, size_t n, const char *where, struct err *e);
/* The next event; −1 and a sentence: it is no YAML. */
int yaml_events_next(struct yaml_events *y);
/* −1, and what is wrong with the event that was read last. */
int yaml_events_fail(struct yaml_events *y, const char *what);
void yaml_events_close(struct yaml_events *y);

#endif
