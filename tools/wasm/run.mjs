// Runs MicroPython programs in npm's WebAssembly build, whose integers have 32 bits as the boards' do.
//
//     node run.mjs .../@micropython/micropython-webassembly-pyscript/micropython.mjs
//
// One request a line on stdin, {"code", "heap" (bytes), "folders" (absolute; their files lie there for the program,
// too), "cwd"}; one answer a line on stdout, {"out", "error" (null, or the text of what went wrong)}. Every request has
// an interpreter of its own.
import fs from "node:fs";
import path from "node:path";
import readline from "node:readline";
import { pathToFileURL } from "node:url";

const { loadMicroPython } = await import(pathToFileURL(path.resolve(process.argv[2])).href);

function laid(FS, folder) {
    FS.mkdirTree(folder);
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
        const file = path.join(folder, entry.name);
        if (entry.isDirectory()) laid(FS, file);
        else if (entry.isFile()) FS.writeFile(file, fs.readFileSync(file));
    }
}

async function answered({ code, heap, folders, cwd }) {
    const out = [];
    try {
        const micropython = await loadMicroPython({ heapsize: heap, stdout: (line) => out.push(line) });
        for (const folder of folders) laid(micropython.FS, folder);
        micropython.FS.chdir(cwd || "/");
        await micropython.runPythonAsync(code);
    } catch (error) {
        // Its message only: the stack of an error from inside carries the whole module.
        return { out: out.join("\n"), error: String((error && error.message) || error).slice(-3000) };
    }
    return { out: out.join("\n"), error: null };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await answered(JSON.parse(line))));
}
