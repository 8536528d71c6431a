#!/usr/bin/env bash
# Plays the command line of a SonicOS device at a terminal (SonicOS reference 6.12); texts that the reference does not
# have are guesses. The first argument is the folder of what it keeps: `journal` gets each line that is typed, `files`
# what is fetched. The others say what the device is like:
#   policy    it begins with a policy that must be accepted
#   login     it asks for user and password in the terminal, whatever SSH has asked
#   locked    it takes no login any more
#   busy      another administrator has configuration mode
#   pending   changes of another administrator wait for a commit
#   paged     its pager cannot be turned off
#   coloured  its prompts have escape sequences around
#   late      it ends the session at the first look
#   gossip    it says the password when it greets, and when it refuses a line
set -u
folder=$1
shift
is_like=" $* "
serial=0017C5A1B2C3
mode=top pending='' pager=on

main() {
    if like locked; then
        echo "% Maximum login attempts exceeded."
        exit
    fi
    like pending && pending=theirs
    echo "Copyright (c) 2026 SonicWall, Inc."
    like gossip && echo "Welcome, renewd (correct horse)"
    like policy && ask_policy
    like login && ask_login
    while prompt; IFS= read -r line; do
        echo "$line" >>"$folder/journal"
        obey
    done
}

like() { [[ $is_like == *" $1 "* ]]; }

ask() {
    printf '%s' "$1"
    IFS= read -r answer || exit
    echo "$answer" >>"$folder/journal"
}

ask_policy() {
    ask "Accept The Policy Banner (yes)? "
    [ "$answer" = yes ] || exit
}

ask_login() {
    for _ in 1 2 3; do
        ask "User: "
        local user=$answer password
        IFS= read -rsp "Password: " password || exit
        echo
        if [ "$user" = renewd ] && [ "$password" = "correct horse" ]; then
            return
        fi
        echo login_refused >>"$folder/journal"
        echo "Access denied"
    done
    echo "% Maximum login attempts exceeded."
    exit
}

prompt() {
    local text
    case $mode in
        top) text="renewd@$serial> " ;;
        config) text="config($serial)# " ;;
        *) text="(config-$mode)# " ;;
    esac
    if like coloured; then
        printf '\e[1;32m%s\e[0m\e[K' "$text"
    else
        printf '%s' "$text"
    fi
}

obey() {
    local words
    read -ra words <<<"$line"
    case $line in
        "no cli pager session")
            if like paged; then echo "% Error: command not found"; else pager=off; fi
            ;;
        configure) configure ;;
        certificates | administration) mode=$line ;;
        "ssl-vpn server") mode=ssl-vpn-server ;;
        "certificate name "*) pending=ours ;;
        "import "* | "export signing-request "*) transfer ;;
        "show certificates status imported") like late && time_out; list ;;
        commit) commit ;;
        cancel) pending='' mode=config ;;
        exit | end) leave ;;
        restart) ask "Are you sure you wish to restart (yes/cancel)? " ;;
        *)
            if like gossip; then words=("$line of renewd (correct horse)"); fi
            echo "% Error: command '${words[0]}' not found"
            ;;
    esac
}

configure() {
    if like busy; then
        echo "admin at console from 192.0.2.9 is editing."
        echo "Do you wish to preempt them (yes/no)?"
        ask "[no]: "
        [ "$answer" = yes ] || return
    fi
    mode=config
}

# The device is the client; the last word is scp://USER:PASSWORD@HOST:PORT/PATH.
transfer() {
    local url=${line##* } files=$folder/files
    local credentials=${url#scp://} place=${url#*@}
    credentials=${credentials%%@*}
    local address=${place%%/*}
    printf '#!/bin/sh\necho "%s"\n' "${credentials#*:}" >"$files/askpass"
    chmod 755 "$files/askpass"
    if SSH_ASKPASS=$files/askpass SSH_ASKPASS_REQUIRE=force scp -q -O -P "${address#*:}" \
        -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o NumberOfPasswordPrompts=1 \
        "${credentials%%:*}@${address%%:*}:/${place#*/}" "$files/" </dev/null 2>>"$files/log"; then
        echo "% Import succeed."
    else
        printf '%% Status returned processing command:\n    %s\n%% Error: Import failed.\n' "$line"
    fi
}

list() {
    local row
    for row in $(seq 1 60); do
        printf 'fw-%02d  Local certificate  Yes\n' "$row"
        if [ "$pager" = on ] && [ $((row % 24)) -eq 0 ]; then
            printf -- '--MORE--'
            IFS= read -rsn1
            printf '\r        \r'
        fi
    done
}

time_out() {
    echo "% Session timed out."
    exit
}

commit() {
    echo "% Applying changes..."
    printf '%% Status returned processing command:\n    commit\n'
    if [ -n "$pending" ]; then echo "% Changes made."; else echo "% No changes made."; fi
    pending=''
}

leave() {
    case $mode in
        top)
            echo "% User logout."
            exit
            ;;
        config)
            if [ -n "$pending" ]; then
                ask "Uncommitted changes found, commit them before exiting (yes/no/cancel)? [cancel]: "
                case $answer in
                    yes) commit ;;
                    no)
                        echo "discarded $pending" >>"$folder/journal"
                        pending=''
                        ;;
                    *) return ;;
                esac
            fi
            mode=top
            ;;
        *) mode=config ;;
    esac
}

main
