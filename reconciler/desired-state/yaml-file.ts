import { Lexer, parseDocument, type YAMLError } from 'yaml'
import type { Finding } from '../desired-state.ts'
import { keyPath } from './wording.ts'
import { locateIn, type Path } from './yaml-positions.ts'
import { resolveValues } from './yaml-values.ts'

/** One YAML file that could be read, with the place of everything in it. */
export type YamlFile = {
  /** Relative to the repository, with forward slashes. */
  file: string
  value: unknown
  /** A finding at a key or a value; what is not there itself is placed at the nearest thing that is. */
  findingAt(path: Path, at: 'key' | 'value', message: string): Finding
  /** How a plain number or word is written in the file, as in `1.30`; undefined for everything else. */
  writtenAs(path: Path): string | undefined
}

/**
 * Words and signs of YAML in one file. A megabyte of nothing but commas keeps the parser busy for nine seconds, this
 * many for less than one; a file of 20 000 ordinary lines stays below.
 */
const mostTokens = 150_000

/** Somebody who wrote this much that is no YAML needs the first lines only. */
const mostProblems = 200

/** A finding about the file as a whole. */
export function fileFinding(file: string, message: string): Finding {
  return { file, line: 1, column: 1, key: 'file', message }
}

/**
 * Parses one YAML 1.2 document. Never throws: what is wrong comes back as findings, and then `yaml` is null.
 * @param file name for the findings, relative to the repository
 * @param text decoded text without byte order mark
 */
export function parseYamlFile(file: string, text: string): { yaml: YamlFile | null; findings: Finding[] } {
  try {
    return parse(file, text)
  } catch (error) {
    // The parser calls itself for each level of nesting, so a million brackets exhaust the stack.
    const deep = error instanceof RangeError
    return {
      yaml: null,
      findings: [fileFinding(file, deep ? 'is nested too deeply' : 'cannot be read as YAML')],
    }
  }
}

function parse(file: string, text: string): { yaml: YamlFile | null; findings: Finding[] } {
  if (isTooMuch(text)) {
    const message = `holds more than ${mostTokens} words and signs, expected a file for people`
    return { yaml: null, findings: [fileFinding(file, message)] }
  }
  const lines = lineStarts(text)
  const findingAtOffset = (offset: number, path: Path, message: string): Finding => ({
    file,
    ...positionOf(lines, Math.min(offset, text.length)),
    key: keyPath(path),
    message,
  })
  // Two equal keys are found in resolveValues: the parser compares each key with all others, which takes minutes
  // for a hostile file.
  const document = parseDocument(text, {
    uniqueKeys: false,
    prettyErrors: false,
    logLevel: 'error',
    version: '1.2',
  })
  const findings = [...document.errors, ...document.warnings]
    .slice(0, mostProblems)
    .map((error) => findingAtOffset(error.pos[0], [], syntaxMessage(error)))
  if (document.directives.yaml.explicit && document.directives.yaml.version !== '1.2') {
    findings.push(fileFinding(file, 'asks for an old version of YAML, expected YAML 1.2 (leave %YAML out)'))
  }
  if (findings.length > 0) return { yaml: null, findings }
  if (document.contents === null) {
    return { yaml: null, findings: [fileFinding(file, 'is empty, expected keys and values')] }
  }
  const { value, targets, problems } = resolveValues(document.contents)
  if (problems.length > 0) {
    const listed = problems.slice(0, mostProblems)
    return {
      yaml: null,
      findings: listed.map(({ offset, path, message }) => findingAtOffset(offset, path, message)),
    }
  }
  const tree = { root: document.contents, targets }
  return {
    yaml: {
      file,
      value,
      findingAt: (path, at, message) => findingAtOffset(locateIn(tree, path)[at], path, message),
      writtenAs: (path) => locateIn(tree, path).writtenAs,
    },
    findings,
  }
}

function isTooMuch(text: string): boolean {
  let tokens = 0
  for (const _ of new Lexer().lex(text)) {
    tokens++
    if (tokens > mostTokens) return true
  }
  return false
}

/** The parser's sentence, except where it would repeat what stands in the file. */
function syntaxMessage(error: YAMLError): string {
  if (error.code === 'MULTIPLE_DOCS') return 'holds several documents, expected one (no second `---`)'
  if (error.code === 'TAG_RESOLVE_FAILED')
    return 'is marked with a YAML tag (!...) that is not known here, expected none'
  if (error.code === 'TAB_AS_INDENT') return 'is indented with a tab, expected spaces'
  if (error.code === 'BAD_DIRECTIVE') return 'has a % directive that cannot be read, expected none'
  if (error.code === 'RESOURCE_EXHAUSTION') return 'is nested too deeply, expected a few levels'
  if (error.code === 'BAD_DQ_ESCAPE')
    return 'has an escape (\\) that is not known in double quotes, expected \\\\ for a backslash'
  const sentence = error.message.replace(/: .*$/s, '').replace(/\s+/g, ' ')
  return `is not valid YAML: ${sentence.charAt(0).toLowerCase()}${sentence.slice(1)}`
}

/** Own table instead of the parser's: that one is incomplete after a parse that was cut short. */
function lineStarts(text: string): number[] {
  const starts = [0]
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1)
  return starts
}

/** Line and column from 1; columns count UTF-16 units, as editors do. */
function positionOf(starts: number[], offset: number): { line: number; column: number } {
  let low = 0
  let high = starts.length - 1
  while (low < high) {
    const middle = Math.ceil((low + high) / 2)
    if ((starts[middle] ?? 0) <= offset) low = middle
    else high = middle - 1
  }
  return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 }
}
