// Goes around a client's tracer, whose text follows as the argument of what this returns. What a script could replace is taken
// before it runs.
(function () {
    "use strict";
    const { stringify } = JSON, { isArray } = Array, { defineProperty, create, keys } = Object;
    // A function's loops end after 200,000 turns: longer arrays are copied piece by piece.
    const piece = 100000;

    // The value as JSON would show it, made of plain parts. The depth of what comes out is bounded by the depth of calls, so
    // that whoever writes it down does not go deeper either.
    function plain(value, key, room) {
        if (value !== null && typeof value === "object" && typeof value.toJSON === "function") {
            value = value.toJSON(key);
        }
        if (--room.values < 0) {
            throw new RangeError("the result of the tracer has more than VALUES_MAX values");
        }
        if (value === null || typeof value !== "object") {
            return value;
        }
        if (isArray(value)) {
            const copy = [];
            defineProperty(copy, "toJSON", { value: undefined });
            const length = value.length;
            for (let from = 0; from < length; from += piece) {
                if (length <= piece) {
                    for (let index = 0; index < length; index++) {
                        copy[index] = plain(value[index], index, room);
                    }
                } else {
                    copyPiece(value, copy, from, length, room);
                }
            }
            return copy;
        }
        const copy = create(null), names = keys(value);
        for (let index = 0; index < names.length; index++) {
            copy[names[index]] = plain(value[names[index]], names[index], room);
        }
        return copy;
    }

    function copyPiece(value, copy, from, length, room) {
        const end = from + piece < length ? from + piece : length;
        for (let index = from; index < end; index++) {
            copy[index] = plain(value[index], index, room);
        }
    }

    return function (tracer) {
        if (tracer === null || typeof tracer !== "object") {
            return tracer;
        }
        const { setup, result } = tracer;
        if (typeof setup === "function") {
            // geth hands over the configuration as text.
            const told = function (config) {
                return setup.call(this, config === undefined || config === null ? "{}" : stringify(config));
            };
            defineProperty(tracer, "setup", { value: told });
        }
        if (typeof result === "function") {
            const bounded = function (ctx, db) {
                const answer = plain(result.call(this, ctx, db), "", { values: VALUES_MAX });
                return answer === undefined ? null : answer;
            };
            defineProperty(tracer, "result", { value: bounded });
        }
        return tracer;
    };
})()
