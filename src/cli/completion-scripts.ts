// The scripts of `culvert completion`, one per shell. Each only carries words to `culvert
// completion candidates` and its answer back: what can be completed stands in
// completion-candidates.ts. They must stay silent on failure and must not evaluate what comes back.

/** The answer that stands for file names. No candidate starts with a colon. */
export const FILES_LINE = ":files";

/**
 * Bash takes `:` and `=` for the ends of words, which tears MAC and IPv6 addresses apart: the words
 * are put together again by looking at the line for the blanks between them. Only the part after
 * the last `=` is replaced, so files are completed without `--socket=` in front.
 */
const BASH = `# bash completion for culvert
_culvert() {
  local program=$1 rest=\${COMP_LINE:0:COMP_POINT} blanks word meaning i
  local -a words=()
  COMPREPLY=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    blanks=\${rest%%[![:space:]]*}
    rest=\${rest#"$blanks"}
    # The word under the cursor counts up to the cursor.
    if ((i == COMP_CWORD)) && [[ -n $COMP_LINE ]]; then word=$rest; fi
    rest=\${rest#"$word"}
    if ((i > 0)) && [[ -z $blanks && -n $COMP_LINE && -n $word ]]; then
      words[\${#words[@]} - 1]+=$word
    elif ((i == 0)) || [[ -n $blanks || -z $COMP_LINE ]]; then
      words+=("$word")
    fi
  done
  local current=\${words[\${#words[@]} - 1]}
  while IFS=$'\\t' read -r word meaning; do
    if [[ $word == "${FILES_LINE}" ]]; then
      compopt -o filenames 2>/dev/null
      while IFS= read -r word; do COMPREPLY+=("$word"); done < <(compgen -f -- "\${current#--*=}")
    elif [[ $word == "$current"* ]]; then
      COMPREPLY+=("$word")
    fi
  done < <("$program" completion candidates -- "\${words[@]:1}" 2>/dev/null)
}
complete -F _culvert culvert
`;

const ZSH = `#compdef culvert
_culvert() {
  local line word
  local -a answer candidates
  answer=("\${(@f)$("\${(Q)words[1]}" completion candidates -- \\
    "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)}")
  if [[ $answer[1] == "${FILES_LINE}" ]]; then
    compset -P '--*='
    _files
    return
  fi
  for line in "\${(@)answer}"; do
    word=\${line%%$'\\t'*}
    [[ -n $word ]] && candidates+=("\${word//:/\\\\:}:\${line#*$'\\t'}")
  done
  _describe culvert candidates
}
# Autoloaded from fpath, this file is the function's body; sourced, it registers the function.
if [[ $funcstack[1] == _culvert ]]; then
  _culvert "$@"
else
  compdef _culvert culvert
fi
`;

const FISH = `# fish completion for culvert
function __culvert_candidates
  set -l words (commandline -opc)
  set -l current (commandline -ct)
  set -l answer ($words[1] completion candidates -- $words[2..-1] "$current" 2>/dev/null)
  if test "$answer[1]" = "${FILES_LINE}"
    set -l option (string match -r -- '^--[^=]*=' "$current")
    set -l path (string replace -r -- '^--[^=]*=' '' "$current")
    for file in (__fish_complete_path "$path")
      printf '%s\\n' "$option$file"
    end
  else
    printf '%s\\n' $answer
  end
end
complete -c culvert -f -a '(__culvert_candidates)'
`;

/** By the shell's name. */
export const COMPLETION_SCRIPTS = { bash: BASH, zsh: ZSH, fish: FISH } as const;
export type Shell = keyof typeof COMPLETION_SCRIPTS;
